# SPDX-License-Identifier: GPL-2.0-only
#
# why.

FILE == "flows" {
	kv($0)
	if (touches(V["orig"]) || touches(V["new"])) {
		FLOW[V["proto"] " " tuple(V["orig"])] = "engine=" ENGINE " " $0
		SLOT[ENGINE " " V["slot"]]
	}
}
# The engine's own table has the last word: conntrack loses its mark when one flowtable
# replaces another, and the module knows what it has written.
FILE == "bind" && $2 == "BND" && (ENGINE " " $1) in SLOT { ENTRY[ENGINE " " $1] }
FILE == "rejects" && $1 == "flow" {
	kv($0)
	k = V["proto"] " " tuple(V["orig"])
	# They are in no order: the last one counts.
	if (!(k in REFUSED) || V["age"] + 0 < REFUSED_AGE[k]) { REFUSED[k] = $0; REFUSED_AGE[k] = V["age"] + 0 }
}

# The device by which an address is reached; "local" for one of the router.
function route(a,   cmd, line, n, w, i) {
	if (a in ROUTE) return ROUTE[a]
	# Whatever conntrack says, a shell gets nothing but an address.
	if (a !~ /^[0-9a-f.:]+$/) return ""
	cmd = "ip " (a ~ /:/ ? "-6 " : "") "route get " a " 2>/dev/null"
	ROUTE[a] = ""
	if ((cmd | getline line) > 0) {
		n = split(line, w, " ")
		for (i = 1; i < n; i++) if (w[i] == "dev") ROUTE[a] = w[i + 1]
		if (w[1] == "local") ROUTE[a] = "local"
	}
	close(cmd)
	return ROUTE[a]
}

function tell(text, todo) {
	if (WITH_JSON) {
		SAID = SAID "," member("says", text) (todo == "" ? "" : "," member("do", todo))
		return
	}
	print "  " text
	if (todo != "") print "  do: " todo
}

# One direction that has a flow; is it bound?
function shown(name, key) {
	kv(FLOW[key])
	if (V["state"] == "bound" && ((V["engine"], "bind") in READ) && !((V["engine"] " " V["slot"]) in ENTRY)) {
		tell(name ": the module calls it bound, and the table of the engine " V["engine"] " has no entry in slot " V["slot"], "ask again; if it stays so: nft-offload audit")
		MISSED = 1
		return 0
	}
	if (WITH_JSON) SAID = SAID "," json(name) ":" object(FLOW[key])
	else printf "  %s: %s %s, slot %s of %s, %s to %s, for %s: %s packets, %sB, the last %s ago\n", name,
		V["state"] == "bound" ? "bound" : "in software, as it is", V["state"] == "bound" ? "in hardware" : V["state"],
		V["slot"], V["engine"], V["in"], V["out"], span(V["age"]), human(V["packets"]), human(V["bytes"]), span(V["idle"])
	return V["state"] == "bound"
}
function refused(name, key) {
	if (!(key in REFUSED)) return 0
	kv(REFUSED[key])
	if (WITH_JSON) {
		sub(/^flow /, "", REFUSED[key])
		SAID = SAID "," json(name) ":{\"refused\":" object(REFUSED[key]) "," member("says", SAYS[V["reason"]]) "}"
		return 1
	}
	printf "  %s: refused, %s (%s times, the last %s ago, %s to %s)\n", name, V["reason"], V["times"],
		span(V["age"]), V["in"], V["out"]
	# Often the same for both directions.
	if (TOLD[V["reason"]] != count) tell("why: " SAYS[V["reason"]])
	TOLD[V["reason"]] = count
	return 1
}

# The device that hides the port, on the way from a device to it, or nothing; its kind goes to
# HIDES. nf_flowtable looks through VLANs, bridges, PPPoE and the ports of switches.
function hidden(dev,   n, w, i, found) {
	if (!(dev in LOWER)) return ""
	if (kind(dev) ~ /^(bond|team|macvlan|macvtap|ipvlan|ipvtap)$/) { HIDES = kind(dev); return dev }
	n = split(LOWER[dev], w, " ")
	for (i = 1; i <= n; i++) if ((found = hidden(w[i])) == "") return ""
	return found
}
# sysfs has it of some, ip of the others.
function kind(dev,   cmd, line) {
	if (dev in KIND || dev !~ /^[A-Za-z0-9_.-]+$/) return KIND[dev]
	cmd = "ip -d -o link show dev " dev " 2>/dev/null"
	KIND[dev] = (cmd | getline line) > 0 && match(line, / (team|macvlan|macvtap|ipvlan|ipvtap) /) ? substr(line, RSTART + 1, RLENGTH - 2) : ""
	close(cmd)
	return KIND[dev]
}

# Why a connection is not even offered to the hardware.
function unoffered(   t, i, dev, hint, hider) {
	if (proto != "tcp" && proto != "udp")
		return tell("flowtables hand only TCP and UDP to the hardware; " proto " stays in software")
	for (i = 1; i <= 2; i++) if (route(A[i, "src"]) == "local")
		return tell("it begins or ends at this router (" A[i, "src"] " is its own address), and only what is forwarded can be offloaded")
	if (flags ~ /HW_OFFLOAD/)
		return tell("conntrack has it in hardware, but no engine of this module has: it is just coming or going, or with another driver", "ask again in a second")
	for (i = 1; i <= NE; i++) if (S[E[i] " status engine"] != "running")
		return tell("the engine " E[i] " is " S[E[i] " status engine"], "see dmesg | grep nft_offload; it is started again when it answers")
	if (helper != "")
		return tell("the helper " helper " of conntrack reads its packets, which thus stay in software", "take it from the rule that assigns the helper, if it needs none")
	if (proto == "tcp" && flags !~ /OFFLOAD/ && state != "ESTABLISHED")
		return tell("TCP is " (state == "" ? "in no state" : state) ": a connection is offloaded while it is ESTABLISHED")
	if (NO_RULESET) return tell("the ruleset cannot be read", ENVIRON["INSTALL"] " nftables, and run this as root")
	if (!NT) return tell("the ruleset has no flowtable", "add one with flags offload; on OpenWrt set flow_offloading and flow_offloading_hw in /etc/config/firewall")
	t = 1
	while (t <= NT && !FT_OFFLOAD[t]) t++
	if (t > NT) return tell("no flowtable of the ruleset has the flag offload, so " FT[1] " forwards by software", "add \"flags offload;\" to it (OpenWrt: flow_offloading_hw 1)")
	for (i = 1; i <= 2; i++) {
		dev = route(A[i, "src"])
		if (dev == "") return tell("there is no route to " A[i, "src"], "ip route get " A[i, "src"])
		if ((hider = hidden(dev)) != "")
			return tell(A[i, "src"] " is reached by " dev (hider == dev ? "" : ", which is above " hider) ": a " HIDES " hides the port below it from the flowtable, so what passes it stays in software", \
				"let the port itself have the address, or a VLAN, a bridge or PPPoE of it; the hardware cannot do a " HIDES)
		if (!inside(dev, FT_DEVS[t]))
			return tell(A[i, "src"] " is reached by " dev ", and flowtable " FT[t] " lacks " ABSENT,
				"add " (ABSENT ~ /,/ ? "the one of these that is used" : ABSENT) " to its devices, if it is a port of an engine (nft-offload status); from elsewhere frames go by software")
		if (ABSENT != "") hint = hint "; of the devices below " dev ", " ABSENT " is not in the flowtable"
	}
	if (FT_RULE[t] == "-") return tell("no rule in a forward chain adds connections to " FT[t], "meta l4proto { tcp, udp } flow add @" substr(FT[t], match(FT[t], /[^:]*$/)))
	if (FT_RULE[t] == "late") return tell("established connections are accepted before they come to the rule with flow add", "move that rule to the top of the chain")
	i = 1
	while (i <= NE && S[E[i] " status flowtables"] == 0) i++
	if (i > NE) return tell("the flowtable was there before the module, so it is bound to no engine", RELOAD)
	for (i = 1; i <= NE; i++) if (S[E[i] " status paused"] == 1)
		return tell("new flows are kept in software, as " E[i] " is paused", "nft-offload pause off")
	if (flags ~ /OFFLOAD/)
		return tell("it is in the software flowtable, and no engine knows of it: the hardware has not been asked yet, or the refusal is too long ago", "ask again; nft-offload stats has all reasons" hint)
	return tell("it was not added to flowtable " FT[t] ", though it could have been: no packet came since it last left it, or the conditions of the rule with flow add do not meet it, or its packets have IP options or pass IPsec" hint,
		"ask again while packets flow")
}

function line(text) {
	if (!WITH_JSON) print text
}
# An object of JSON: the connection, what was said of it, and how much is in hardware.
function end_object(head, hardware) {
	if (WITH_JSON) printf "%s\n{%s%s,%s}", (count > 1 ? "," : ""), head, SAID, member("hardware", hardware)
	SAID = ""
}
BEGIN { if (WITH_JSON) printf "{\"version\":" SCHEMA ",\"connections\":[" }

FACTS && $1 == "ct" {
	split("", A)
	d = 0
	proto = $4
	state = helper = flags = ""
	for (i = 6; i <= NF; i++) {
		p = index($i, "=")
		k = substr($i, 1, p - 1)
		v = substr($i, p + 1)
		if (k == "src") { d++; A[d, k] = ip(v) }
		else if (k == "dst") A[d, k] = ip(v)
		else if (k == "sport" || k == "dport") A[d, k] = v
		else if (k == "helper") helper = v
		else if ($i ~ /^\[/) flags = flags $i
		else if (!d && $i ~ /^[A-Z][A-Z_0-9]*$/) state = $i
	}
	for (i = 1; i <= 2; i++) { from[i] = spell(A[i, "src"], A[i, "sport"]); to[i] = spell(A[i, "dst"], A[i, "dport"]) }
	if (!wanted(from[1]) && !wanted(to[1]) && !wanted(from[2]) && !wanted(to[2])) next
	count++
	line((count > 1 ? "\n" : "") proto " " from[1] " -> " to[1] \
		(from[2] != to[1] || to[2] != from[1] ? ", answered " from[2] " -> " to[2] : "") (state == "" ? "" : ", " state))
	hardware = connection()
	if (hardware != "both") bad = 1
	end_object(member("proto", proto) "," member("orig", from[1] "->" to[1]) "," member("answered", from[2] "->" to[2]) \
		"," member("state", state), hardware)
}
# Says all of it: is it in hardware with both directions, with one, or with none?
function connection(   i, way, id, has, good, said) {
	MISSED = 0
	for (i = 1; i <= 2; i++) {
		way = i == 1 ? "original" : "reply"
		id[i] = proto " " from[i] "->" to[i]
		has[i] = id[i] in FLOW
		good[i] = has[i] && shown(way, id[i])
		if (has[i]) CLAIMED[id[i]]
	}
	if (good[1] && good[2]) { line("  in hardware, both directions"); return "both" }
	line(good[1] || good[2] ? "  HALF in hardware" : "  NOT in hardware")
	said = MISSED
	for (i = 1; i <= 2; i++) if (!has[i]) said += refused(i == 1 ? "original" : "reply", id[i])
	if (!said) {
		if (has[1] && has[2]) tell("the kernel offers it again with its next packets in software", "ask again while packets flow")
		else if (has[1] || has[2]) tell("the other direction is just coming or going, or its refusal is too long ago", "ask again; if it stays so: nft-offload flush flow " proto " " from[1] " " to[1])
		else unoffered()
	}
	return good[1] || good[2] ? "one" : "none"
}
END {
	for (k in FLOW) if (!(k in CLAIMED)) {
		line((count++ ? "\n" : "") k)
		good[1] = shown(WITH_JSON ? "original" : "no connection in conntrack (bridged by a rule of tc, or just ended)", k)
		if (!good[1]) bad = 1
		p = index(k, " ")
		end_object(member("proto", substr(k, 1, p - 1)) "," member("orig", substr(k, p + 1)) ",\"answered\":null", good[1] ? "one" : "none")
	}
	if (!count) {
		line("no connection with " ENVIRON["ADDR"] " in conntrack: it has ended, or does not pass this router, or the rules leave it untracked")
		bad = 1
	}
	if (WITH_JSON) print "\n]}"
	exit bad
}
