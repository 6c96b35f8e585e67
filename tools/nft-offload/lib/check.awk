# SPDX-License-Identifier: GPL-2.0-only
#
# check.

BEGIN { if (WITH_JSON) printf "{\"version\":" SCHEMA ",\"results\":[" }
function result(kind, text) {
	if (WITH_JSON) printf "%s\n{%s,%s}", (results++ ? "," : ""), member("result", kind), member("says", text)
	else printf "%-4s  %s\n", kind, text
	if (kind == "FAIL") bad = 1
}
FACTS && $1 == "say" { kind = $2; sub(/^say [^ ]+ /, ""); result(kind, $0) }
END {
	devs = " "
	for (e = 1; e <= NE; e++) {
		# One line says already that it cannot be read.
		if (S[E[e] " status engine"] == "") { bad = 1; continue }
		text = "engine " E[e] " (" S[E[e] " status chip"] ") is " S[E[e] " status engine"]
		if (S[E[e] " status engine"] != "running") result("FAIL", text ": see dmesg | grep nft_offload; it is started again when it answers")
		else if (S[E[e] " status paused"] == 1) result("warn", text " and paused: nft-offload pause off")
		else result("ok", text)
	}
	for (i = 1; i <= NP; i++) {
		if ((PORT_ENGINE[i] " " PORT_NAME[i]) in CONDUIT) continue
		text = "port " PORT_NAME[i] " of " PORT_ENGINE[i] ": "
		if (PORT_DEV[i] == "") { result("warn", text "it has no device: is its driver loaded?"); continue }
		devs = devs PORT_DEV[i] " "
		text = text PORT_DEV[i]
		if (PORT_LINK[i] == "up") result("ok", text " is up")
		else result("warn", text " has no link: ip link set " PORT_DEV[i] " up, or see to its cable")
	}
	for (i = 1; i <= NU; i++) result("warn", UNREAD[i])
	if (NO_RULESET) result("FAIL", "ruleset: it cannot be read: " ENVIRON["INSTALL"] " nftables, and run this as root")
	else flowtables()
	qdiscs()
	links()
	if (WITH_JSON) print "\n],\"ready\":" (bad ? "false" : "true") "}"
	exit bad
}
function flowtables(   t, i, n, w, lacks) {
	for (t = 1; t <= NT; t++) if (FT_OFFLOAD[t]) {
		n++
		result("ok", "flowtable " FT[t] " has the flag offload")
		if (FT_COUNTER[t]) result("ok", "flowtable " FT[t] " counts")
		else result("warn", "flowtable " FT[t] ": without \"counter;\" conntrack misses what the hardware forwards: add it")
		lacks = devices_to_come(t)
		if (lacks != "") result("warn", "flowtable " FT[t] " names" lacks ", which no device is called: with \"flags offload;\" the kernel lets no device get that name but a port of an engine (\"Operation not permitted\"): name only ports, also for what is above them")
		lacks = ""
		split(devs, w, " ")
		for (i = 1; i in w; i++) if (!inside(w[i], FT_DEVS[t])) lacks = lacks " " w[i]
		if (lacks == "") result("ok", "flowtable " FT[t] " has the ports of all engines")
		else result("warn", "flowtable " FT[t] " lacks" lacks ": add what routed traffic passes to its devices")
		if (FT_RULE[t] == "rule") result("ok", "flowtable " FT[t] " is used by a rule in forward")
		else if (FT_RULE[t] == "late") result("warn", "flowtable " FT[t] ": established connections are accepted before its rule: move the rule to the top of the chain")
		else result("FAIL", "flowtable " FT[t] ": no rule in a forward chain uses it: meta l4proto { tcp, udp } flow add @" substr(FT[t], match(FT[t], /[^:]*$/)))
	}
	if (!n) {
		result("FAIL", NT ? "flowtable " FT[1] " lacks \"flags offload;\": add it (OpenWrt: flow_offloading_hw 1)" : \
			"ruleset: it has no flowtable: add one with flags offload (OpenWrt: flow_offloading 1, flow_offloading_hw 1)")
		return
	}
	for (e = 1; e <= NE; e++) if (S[E[e] " status flowtables"] == 0)
		result("FAIL", "engine " E[e] " is bound to no flowtable: it has no port in one, or the ruleset was there before the module: " RELOAD)
	passed_by()
	chains_at_devices()
	vlans_of_ports()
}
# What shapes, at a port, above one, or in the devices that shape what comes in.
function qdiscs(   cmd, line, w, dev, n, found, places) {
	cmd = "tc qdisc show 2>/dev/null"
	while ((cmd | getline line) > 0) {
		n++
		split(line, w, " ")
		if (!match(line, / dev [^ ]+/)) continue
		dev = substr(line, RSTART + 5, RLENGTH - 5)
		if (w[2] ~ /^(clsact|ingress)$/ && inside(dev, devs)) PLACE[++places] = dev
		if (w[2] !~ /^(cake|cake_mq|htb|hfsc|tbf|cbs|etf|taprio|netem)$/ || (dev !~ /^ifb/ && !inside(dev, devs))) continue
		found++
		if (dev in TOLD) continue
		TOLD[dev]
		bypass = 0
		for (i = 1; i <= NE; i++) if (S[E[i] " policy refuse_shaped"] == "0") bypass = 1
		result("warn", "shaping: " dev " has " w[2] (bypass ? \
			", which flows in hardware bypass: nft-offload policy refuse_shaped 1 keeps them in software" : \
			": what passes it stays in software; tc qdisc del dev " dev " root, or nft-offload policy refuse_shaped 0 to bypass it"))
	}
	close(cmd)
	if (!n) result("warn", "shaping: cannot tell without tc: " ENVIRON["INSTALL"] (ENVIRON["INSTALL"] ~ /^(apk|opkg)/ ? " tc-full" : " iproute2"))
	else if (!found) result("ok", "shaping: no port has a shaping qdisc")
	for (n = 1; n <= places; n++) filters_of(PLACE[n])
}
