# SPDX-License-Identifier: GPL-2.0-only
#
# check: what packets in hardware pass by, and devices that stand in the way of the flowtable.

FACTS && $1 == "passed" {
	RULE_DOES[++NR_PASSED] = $2
	RULE_IN[NR_PASSED] = $3
	sub(/^passed [^ ]+ [^ ]+ /, "")
	RULE_TEXT[NR_PASSED] = $0
}
FACTS && $1 == "hooked" {
	CHAIN_NAME[++NH] = $2
	CHAIN_HOOK[NH] = $3
	CHAIN_AT[NH] = ""
	for (n = 4; n <= NF; n++) CHAIN_AT[NH] = CHAIN_AT[NH] " " $n
}

BEGIN {
	MEANS["header"] = "packets in hardware keep what their sender wrote there"
	MEANS["limit"] = "it does not limit a connection in hardware"
	MEANS["quota"] = "it does not count what is in hardware"
	MEANS["volume"] = "it does not see how much a connection in hardware has moved, until nft-offload flush all sends it through the ruleset again"
	MEANS["copy"] = "it does not get the packets of a connection in hardware"
	MEANS["counter"] = "it does not count them (conntrack does)"
	# So many lines of one kind are enough to know it.
	MOST = 8
}

# Rules that would see each packet of a connection, if none were in hardware.
function passed_by(   i, k, told, more) {
	for (i = 1; i <= NR_PASSED; i++) {
		k = RULE_DOES[i]
		if (++told[k] > MOST) { more[k]++; continue }
		result("warn", "rule of " RULE_IN[i] ": \"" RULE_TEXT[i] "\": flows in hardware pass it by, so " MEANS[k] \
			"; to keep its connections in software: ct mark set 0x10 beside it, and ct mark != 0x10 before flow add")
	}
	for (k in more) result("warn", "rules: " more[k] " more of them are of this kind (" k ")")
	if (!NR_PASSED) result("ok", "rules: none needs to see all packets of a connection")
}

# Something at a device sees what the CPU receives or sends. KEY is what keeps its flows in software.
function hooked(text, dev, key, then) {
	if (is_on(key)) result("warn", text ": flows of " dev " stay in software while it is there (policy " key " 1)")
	else result("warn", text ": flows in hardware pass it by; " \
		(key == "" ? "" : "nft-offload policy " key " 1 keeps flows of " dev " in software, or ") then)
}
function chains_at_devices(   i, j, n, w) {
	for (i = 1; i <= NH; i++) {
		n = split(CHAIN_AT[i], w, " ")
		for (j = 1; j <= n; j++) if (inside(w[j], devs))
			hooked("chain " CHAIN_NAME[i] " at " CHAIN_HOOK[i] " of " w[j], w[j], policy("^refuse_netdev_chains$"), \
				"a ban there does not end them: ban in the rule with flow add as well (ip saddr != ADDRESS ip daddr != ADDRESS), then nft-offload flush all")
	}
}

# Filters of tc at a device that has a place for them.
function filters_of(dev,   cmd, line, side, n) {
	for (side = 1; side <= 2; side++) {
		cmd = "tc filter show dev " dev " " (side == 1 ? "ingress" : "egress") " 2>/dev/null"
		n = 0
		while ((cmd | getline line) > 0) {
			if (line ~ / handle /) n++
			# A filter in hardware is not one that hardware passes by.
			if (line ~ /^ *in_hw( |$)/) n--
		}
		close(cmd)
		if (n) hooked("tc filters at " (side == 1 ? "ingress" : "egress") " of " dev, dev, policy("^refuse_tc_filters$"), "remove them")
	}
}

# XDP programs, and VLAN devices that set priorities.
function links(   cmd, line, w, dev) {
	cmd = "ip -d link show 2>/dev/null"
	while ((cmd | getline line) > 0) {
		if (line ~ /^[0-9]+: /) {
			split(line, w, " ")
			dev = w[2]
			sub(/[@:].*/, "", dev)
		}
		if (!inside(dev, devs)) continue
		if (line ~ /^[0-9]+: .* xdp(generic|offload|multi)?[ \/]/) hooked("XDP program at " dev, dev, policy("^refuse_xdp$"), "detach it")
		if (line ~ / egress-qos-map \{/) result("warn", dev " has an egress-qos-map: flows that leave by it stay in software, since no entry can set a priority")
	}
	close(cmd)
}

# Names in a flowtable with the flag offload that no device has. The kernel offers a device of
# such a name to the drivers when it is made or renamed, and forbids that if none takes it.
function devices_to_come(t,   i, n, w, lack) {
	n = split(FT_DEVS[t], w, " ")
	for (i = 1; i <= n; i++) if (!exists(w[i])) lack = lack " " w[i]
	return lack
}
function exists(name,   i) {
	if (!sub(/[*]$/, "", name)) return name in HAVE
	for (i = 1; i <= ND; i++) if (index(DEVICE[i], name) == 1) return 1
	return 0
}

# The networks that use a port, or a bridge of it: VLANs, what is above it without a tag, and its
# own addresses. Names of VLAN devices go to VLANS.
function networks(dev,   i, n, w, sum) {
	sum = dev in ADDRESS
	n = split(dev in UPPER ? UPPER[dev] : "", w, " ")
	for (i = 1; i <= n; i++) {
		if (KIND[w[i]] == "vlan") { VLANS = VLANS (VLANS == "" ? "" : ", ") w[i]; sum++ }
		else if (KIND[w[i]] == "bridge") sum += networks(w[i])
		else sum++
	}
	return sum ? sum : 1
}
# The key of the engines has neither VLAN nor Ethernet addresses nor port.
function vlans_of_ports(   i, n, key, text) {
	key = policy("vlan")
	for (i = 1; i <= NP; i++) if (PORT_DEV[i] != "" && !((PORT_ENGINE[i] " " PORT_NAME[i]) in CONDUIT)) {
		VLANS = ""
		n = networks(PORT_DEV[i])
		if (n < 2 || VLANS == "") continue
		text = "port " PORT_NAME[i] " of " PORT_ENGINE[i] ": " n " networks share " PORT_DEV[i] " (VLANs: " VLANS ")"
		if (is_on(key)) result("ok", text ", and its flows stay in software (policy " key " 1)")
		else result("warn", text ", and an engine finds a flow by its addresses and ports alone: a host of one of them that sends frames with those of another's connection gets them forwarded" \
			(key == "" ? "; if you do not trust its hosts, keep connections of the others out of the flowtable: iifname and oifname in the rule with flow add" : \
			": nft-offload policy " key " 1 keeps flows of such ports in software"))
	}
}
