# SPDX-License-Identifier: GPL-2.0-only
#
# stats.

END {
	for (e = 1; e <= NE; e++) {
		if (ENVIRON["MANY"] + 0) print (e > 1 ? "\n" : "") E[e] ":"
		for (i = 1; i <= KEY["stats"]; i++) printf "%-20s %s\n", KEY["stats", i], S[E[e] " stats " KEY["stats", i]]
		for (i = 1; i <= NP; i++) if (PORT_ENGINE[i] == E[e] && split(NET[PORT_DEV[i]], w, " ") == 4)
			printf "%-20s received %s packets, %s bytes; sent %s packets, %s bytes\n", "port " PORT_NAME[i] " " PORT_DEV[i], w[1], w[2], w[3], w[4]
		for (i = 1; i <= KEY["rejects"]; i++) if (n = S[E[e] " rejects " (k = KEY["rejects", i])])
			printf "\n%s: %s, the last %s ago\n  %s\n", k, n, span(LAST[E[e] " " k]), SAYS[k]
	}
}
