# SPDX-License-Identifier: GPL-2.0-only
#
# audit. Only BEGIN, as a second look may be needed: a flow may come or go at the first one.

BEGIN {
	if (look()) {
		system("sleep 2")
		look()
	}
	for (e = 1; e <= NE; e++) if (S[E[e], "faults"] == "") {
		print "nft-offload: engine " E[e] " does not say how many faults it has: its device or the module has gone, or the module is older than this program" >"/dev/stderr"
		exit 3
	}
	if (WITH_JSON) show_json()
	else for (e = 1; e <= NE; e++) show(E[e])
	for (e = 1; e <= NE; e++) if (S[E[e], "faults"] + 0) bad = 1
	exit bad
}
# The faults that there are, of all engines.
function look(   i, cmd, eng, line, w, sum) {
	NK = 0
	split("", S)
	split("", COUNT)
	split("", KNOWN)
	NE = split(ENVIRON["ENGINES"], E, " ")
	for (i = 1; i <= NE; i++) {
		eng = E[i]
		cmd = reading(eng, "audit")
		while ((cmd | getline line) > 0) {
			split(line, w, " ")
			if (w[2] ~ /=/) {
				FOUND[eng, ++COUNT[eng]] = substr(line, length(w[1]) + 2)
				KIND[eng, COUNT[eng]] = w[1]
				continue
			}
			if (!(w[1] in KNOWN)) { KNOWN[w[1]]; KEYS[++NK] = w[1] }
			S[eng, w[1]] = w[2]
		}
		close(cmd)
		sum += S[eng, "faults"]
	}
	return sum
}
function show_json(   e, i, v) {
	printf "{\"version\":" SCHEMA ",\"engines\":["
	for (e = 1; e <= NE; e++) {
		printf "%s\n{%s", (e > 1 ? "," : ""), member("name", E[e])
		for (i = 1; i <= NK; i++) {
			v = S[E[e], KEYS[i]]
			printf ",%s", v == "-" ? json(KEYS[i]) ":null" : member(KEYS[i], v)
		}
		printf ",\"found\":["
		for (i = 1; i <= COUNT[E[e]]; i++)
			printf "%s%s", (i > 1 ? "," : ""), object("kind=" KIND[E[e], i] " " FOUND[E[e], i])
		printf "]}"
	}
	print "\n]}"
}
function faults(n) { return n + 0 ? n " fault" (n == 1 ? "" : "s") : "no fault" }
function show(eng) {
	printf "%s: %s; %s flows, %s bound; took %s s\n", eng, faults(S[eng, "faults"]), S[eng, "flows"],
		S[eng, "bound"], S[eng, "took"]
	if (S[eng, "last_run"] == "-") print "  the first run"
	else printf "  run %s; the one before, %s ago, found %s\n", S[eng, "runs"], span(S[eng, "last_run"]),
		faults(S[eng, "last_faults"])
	about(eng, "orphan", S[eng, "orphans"], "the hardware forwards by these entries, and they are of no flow in it")
	about(eng, "mismatch", S[eng, "mismatches"], "the entries of these flows are not what was written, or are gone")
	about(eng, "stale", S[eng, "stale"], "conntrack does not have these connections any more")
	about(eng, "ownerless", S[eng, "ownerless"], "their flowtable, or rule of tc, is gone")
	about(eng, "index", S[eng, "index"], "the module does not find these flows, or its sums do not fit")
	about(eng, "unread", "", "these could not be read")
	about(eng, "half_bound", S[eng, "half_bound"], "no fault: the other direction of these is not in hardware")
	if (S[eng, "faults"] + 0)
		print "  do: nft-offload flush all, which mends all but orphans; those go when the module is loaded again; and report this"
}
# Each kind that there is, and the first of them.
function about(eng, kind, sum, text,   i, n) {
	for (i = 1; i <= COUNT[eng]; i++) n += KIND[eng, i] == kind
	if (!(sum + n)) return
	printf "  %s %s: %s\n", kind, sum == "" ? n : sum, text
	for (i = 1; i <= COUNT[eng]; i++) if (KIND[eng, i] == kind) print "    " FOUND[eng, i]
}
