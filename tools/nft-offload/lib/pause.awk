# SPDX-License-Identifier: GPL-2.0-only
#
# pause.

FILE == "pause" && !WITH_JSON { print ENGINE ": " ($1 + 0 ? "paused, new flows stay in software" : "not paused") }
FILE == "pause" { put("paused", $1 + 0) }
END {
	if (!WITH_JSON) exit
	printf "{\"version\":" SCHEMA ",\"engines\":["
	for (e = 1; e <= NE; e++) printf "%s{%s,%s}", (e > 1 ? "," : ""), member("name", E[e]), member("paused", S[E[e] " pause paused"])
	print "]}"
}
