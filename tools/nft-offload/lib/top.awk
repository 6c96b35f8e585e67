# SPDX-License-Identifier: GPL-2.0-only
#
# top. Only BEGIN: reads all files at intervals, whose length the clock says. system() says
# whether Ctrl-C ended the pause.

BEGIN {
	clear = ENVIRON["CLEAR"] + 0 ? "\033[H\033[J" : ""
	rounds = ENVIRON["ROUNDS"]
	show = "sort -r | head -n " ENVIRON["ROWS"] " | cut -f 2-" (WITH_JSON ? " | awk '{ printf \"%s%s\", (NR > 1 ? \",\" : \"\"), $0 }'" : "")
	for (r = 0; rounds == "" || r <= rounds; r++) {
		if (r && system("sleep " ENVIRON["SECONDS_APART"]) != 0) exit
		getline line <ENVIRON["UPTIME"]
		close(ENVIRON["UPTIME"])
		dt = line - before
		before = line + 0
		n = sum = sum_packets = 0
		engines = split(ENVIRON["ENGINES"], names, " ")
		for (i = 1; i <= engines; i++) {
			cmd = reading(names[i], "flows")
			while ((cmd | getline line) > 0) {
				if (line == "@unread") {
					print "nft-offload: engine " names[i] " does not say its flows: its device or the module has gone; nft-offload status shows what is left" >"/dev/stderr"
					exit 3
				}
				kv(line)
				k = i " " V["proto"] " " V["orig"]
				known = k in LB
				bytes = V["bytes"] - LB[k]
				packets = V["packets"] - LP[k]
				# Bound anew, it counts from zero.
				if (bytes < 0) { bytes = V["bytes"]; packets = V["packets"] }
				# What it had before it was first seen is no rate.
				if (r && !known && V["age"] + 0 > dt) bytes = packets = 0
				LB[k] = V["bytes"]
				LP[k] = V["packets"]
				n++
				if (!r || dt <= 0) continue
				sum += bytes
				sum_packets += packets
				if (WITH_JSON) rows[n] = sprintf("%025.0f\t{%s,%s,%s,%s,%s,\"bits_per_second\":%.0f,\"packets_per_second\":%.0f}",
					8 * bytes / dt, member("engine", names[i]), member("proto", V["proto"]), member("orig", V["orig"]),
					member("in", V["in"]), member("out", V["out"]), 8 * bytes / dt, packets / dt)
				else rows[n] = sprintf("%025.0f\t%10s %9s  %-10s %-10s %s", 8 * bytes / dt, human(8 * bytes / dt),
					human(packets / dt), V["in"], V["out"], V["proto"] " " V["orig"])
			}
			close(cmd)
		}
		if (!r || dt <= 0) continue
		if (WITH_JSON) printf "{\"version\":%s,\"seconds\":%.2f,\"flows\":%.0f,\"bits_per_second\":%.0f,\"packets_per_second\":%.0f,\"fastest\":[",
			SCHEMA, dt, n, 8 * sum / dt, sum_packets / dt
		else printf "%s%s flows, %sbit/s, %s packets/s over %.1f s\n%10s %9s  %-10s %-10s %s\n", clear, n,
			human(8 * sum / dt), human(sum_packets / dt), dt, "BIT/S", "PACKETS/S", "IN", "OUT", "FLOW"
		fflush()
		for (i = 1; i <= n; i++) print rows[i] | show
		close(show)
		if (WITH_JSON) print "]}"
	}
	exit
}
