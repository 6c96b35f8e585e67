# SPDX-License-Identifier: GPL-2.0-only
#
# flows: lines of a number to sort by, a tab, and the text; for JSON a sum before them.

FILE == "flows" {
	kv($0)
	if (WANTED != "" && !touches(V["orig"]) && !touches(V["new"])) next
	if (!of_proto(V["proto"])) next
	if (ENVIRON["o_dev"] != "" && V["in"] != ENVIRON["o_dev"] && V["out"] != ENVIRON["o_dev"]) next
	if (ENVIRON["o_state"] != "" && V["state"] != ENVIRON["o_state"]) next
	count++
	packets += V["packets"]
	bytes += V["bytes"]
	printf "%025.3f\t", V[ENVIRON["o_sort"]]
	if (WITH_JSON) { print "engine=" ENGINE " " $0; next }
	printf "%-6s %-6s %-10s %-10s %7s %7s %8s %8s  %s", V["state"], V["slot"], V["in"], V["out"],
		span(V["age"]), span(V["idle"]), human(V["packets"]), human(V["bytes"]), V["proto"] " " V["orig"]
	if (V["new"] != V["orig"]) printf " as %s", V["new"]
	for (n = 14; n <= NF; n++) printf " %s", $n
	print (ENVIRON["MANY"] + 0 ? " " ENGINE : "")
}
END { printf "~\tflows=%.0f packets=%.0f bytes=%.0f\n", count, packets, bytes }
