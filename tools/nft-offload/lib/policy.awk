# SPDX-License-Identifier: GPL-2.0-only
#
# policy.

END {
	if (WITH_JSON) printf "{\"version\":" SCHEMA ",\"engines\":["
	for (e = 1; e <= NE; e++) {
		if (WITH_JSON) printf "%s{%s,\"policy\":{", (e > 1 ? "," : ""), member("name", E[e])
		else if (ENVIRON["MANY"] + 0) print E[e] ":"
		for (i = 1; i <= KEY["policy"]; i++) {
			k = KEY["policy", i]
			v = S[E[e] " policy " k]
			if (WITH_JSON) printf "%s%s", (i > 1 ? "," : ""), member(k, v)
			else print k, v
		}
		if (WITH_JSON) printf "}}"
	}
	if (WITH_JSON) print "]}"
}
