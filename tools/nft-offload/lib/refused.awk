# SPDX-License-Identifier: GPL-2.0-only
#
# refused: lines of an age to sort by, a tab, and the text; reasons are sorted by their count.

function known(v) { return v ~ /^[0-9]/ ? v : "null" }
FILE == "rejects" && $1 == "flow" {
	kv($0)
	if ((WANTED != "" && !touches(V["orig"])) || !of_proto(V["proto"])) next
	sub(/^flow /, "")
	if (WITH_JSON) line = object("engine=" ENGINE " " $0)
	else line = sprintf("%8s %7s  %-16s %-10s %-10s %s%s", span(V["age"]), V["times"], V["reason"], V["in"], V["out"],
		V["proto"] " " V["orig"], (ENVIRON["MANY"] + 0 ? " " ENGINE : ""))
	printf "flow %025.3f\t%s\n", V["age"], line
}
END {
	for (e = 1; e <= NE; e++) for (i = 1; i <= KEY["rejects"]; i++) {
		k = KEY["rejects", i]
		if (n = S[E[e] " rejects " k])
			printf "reason %025.0f\t{%s,%s,%s,\"age\":%s,%s}\n", n, member("engine", E[e]), member("reason", k),
				member("count", n), known(LAST[E[e] " " k]), member("says", SAYS[k])
	}
}
