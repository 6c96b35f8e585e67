# SPDX-License-Identifier: GPL-2.0-only
#
# status.

function status(k) { return S[eng " status " k] }
function stats(k) { return S[eng " stats " k] }
END {
	for (e = 1; e <= NE; e++) {
		eng = E[e]
		printf "%s: %s (%s), %s, version %s\n", eng, status("chip"), status("bus"), status("engine"), status("version")
		if (status("engine") != "running") {
			bad = 1
			print "  the engine stopped answering: see the log of the kernel (dmesg | grep nft_offload)"
		}
		if (status("paused") == 1) print "  paused: new flows stay in software; nft-offload pause off ends that"
		printf "  bound      %s of %s entries (%.1f %%)", status("bound"), status("entries"),
			100 * status("bound") / (status("entries") ? status("entries") : 1)
		printf ", %s parked\n", stats("parked_now") + 0
		printf "  forwarded  %s packets, %sB\n", human(stats("packets")), human(stats("bytes"))
		printf "  refused    %s of %s offers", stats("rejected"), stats("offered")
		sep = ": "
		for (i = 1; i <= KEY["rejects"]; i++) if (n = S[eng " rejects " KEY["rejects", i]]) {
			printf "%s%s %s", sep, KEY["rejects", i], n
			sep = ", "
		}
		printf "\n  flowtables %s, rules for bridged frames %s\n", status("flowtables"), status("bridge rules") + 0
		if (KEY["policy"]) {
			printf "  policy     "
			for (i = 1; i <= KEY["policy"]; i++)
				printf "%s%s %s", (i > 1 ? ", " : ""), KEY["policy", i], S[eng " policy " KEY["policy", i]]
			print ""
		}
		for (i = 1; i <= NU; i++) if (UNREAD_ENGINE[i] == eng) print "  " UNREAD[i]
		for (i = 1; i <= NP; i++) if (PORT_ENGINE[i] == eng) {
			printf "  %-10s ", "port " PORT_NAME[i]
			if (PORT_DEV[i] == "") print "no device"
			else print PORT_DEV[i] ", " PORT_LINK[i] \
				(PORT_TABLES[i] == "" ? ", behind a switch" : PORT_TABLES[i] + 0 ? "" : ", in no flowtable")
		}
	}
	exit bad
}
