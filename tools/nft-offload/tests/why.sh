# SPDX-License-Identifier: GPL-2.0-only
# Tests of why. Part of tests/run, which sources it.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # for and of tests/run

t_why_bound() {
	local a
	for a in 192.0.2.2 192.0.2.2:40000 203.0.113.1 203.0.113.1:40000; do
		says 0 '^tcp 192.0.2.2:40000 -> 203.0.113.2:443, answered 203.0.113.2:443 -> 203.0.113.1:40000' \
			'original: bound in hardware, slot 02dd0 of 0000:00:05.0, lan to wan, for 1m2s: 1\.0k packets, 1\.5MB' \
			'reply: bound in hardware, slot 06dd1' 'in hardware, both directions' -- why "$a" || return 1
	done
	hides '192.0.2.3' why 203.0.113.2:443
}
t_why_of_several() { says 1 192.0.2.2: 192.0.2.3: 192.0.2.4: -- why 203.0.113.2; }
t_why_half() {
	says 1 'original: bound in hardware, slot 00010.*: 3 packets, 300B' 'HALF in hardware' 'reply: refused, nat66 \(2 times, the last 9s ago, wan to lan\)' \
		'First sentence with  two blanks; do this.' -- why '[2001:db8:1::2]:40001' && hides 'NOT' why 2001:0db8:0001::2
}
t_why_refused() {
	says 1 'NOT in hardware' 'original: refused, nat66 \(3 times, the last 2s' 'First sentence' -- why 192.0.2.4 &&
		hides 'Second' why 192.0.2.4
}
t_why_parked() { says 1 'in software, as it is parked' 'as it is aged' 'NOT in hardware' 'offers it again' -- why 192.0.2.3; }
t_why_json() {
	valid 'j["version"] == 1 and len(j["connections"]) == 1 and j["connections"][0]["hardware"] == "both" and
		j["connections"][0]["original"]["slot"] == "02dd0" and j["connections"][0]["reply"]["bytes"] == 6400000000000 and
		j["connections"][0]["orig"] == "192.0.2.2:40000->203.0.113.2:443" and
		j["connections"][0]["answered"] == "203.0.113.2:443->203.0.113.1:40000"' why --json 192.0.2.2 &&
		valid 1 '[c["hardware"] for c in j["connections"]] == ["both", "none", "none"] and "do" in j["connections"][1] and
			j["connections"][2]["original"]["refused"]["reason"] == "nat66" and
			j["connections"][2]["original"]["says"] == "First sentence with  two blanks; do this."' why --json 203.0.113.2 &&
		valid 1 'j["connections"][0]["hardware"] == "one" and j["connections"][0]["reply"]["refused"]["times"] == 2' why --json '[2001:db8:1::2]:40001' &&
		valid 1 'j == {"version": 1, "connections": []}' why --json 192.0.2.77 &&
		fails 3 'there is no engine' --engine x why --json 192.0.2.2 || return 1
	tcp '100 ESTABLISHED' '[ASSURED]'
	valid 1 'j["connections"][0]["state"] == "ESTABLISHED" and "no packet came" in j["connections"][0]["says"]' why --json 192.0.2.9 || return 1
	connection ''
	valid 'j["connections"][0]["answered"] is None and j["connections"][0]["hardware"] == "one"' why --json 192.0.2.2
}

t_why_nothing() { says 1 'no connection with 192.0.2.77 in conntrack' -- why 192.0.2.77; }
t_why_without_connection() { connection ''; says 0 'no connection in conntrack \(bridged.*bound in hardware, slot 02dd0' -- why 192.0.2.2; }
t_why_from_proc() {
	rm "$tmp/bin/conntrack"
	# Only what the test needs, as the tool root has conntrack.
	mkdir "$tmp/bin/only"
	local p
	for p in cat sed ls grep find awk tr sh dirname readlink; do ln -s "$(PATH=$tmp/bin:$TOOLS command -v "$p")" "$tmp/bin/only/"; done
	mv "$tmp/bin/"{nft,ip} "$tmp/bin/only/"
	local -a words=("${SHELL_WORDS[@]}")
	words[0]=$(command -v "${words[0]}")
	PATH=$tmp/bin/only "${words[@]}" "$here/nft-offload" why 192.0.2.2 2>&1 | grep 'neither the tool conntrack' || return 1
	file proc/net/nf_conntrack <<-'EOT'
		ipv6     10 udp      17 src=2001:0db8:0001:0000:0000:0000:0000:0002 dst=2001:0db8:0002:0000:0000:0000:0000:0002 sport=40001 dport=53 packets=1 bytes=1 src=2001:0db8:0002:0000:0000:0000:0000:0002 dst=2001:0db8:0001:0000:0000:0000:0000:0002 sport=53 dport=40001 packets=1 bytes=1 [HW_OFFLOAD] mark=0 use=3
	EOT
	PATH=$tmp/bin/only "${words[@]}" "$here/nft-offload" why '[2001:db8:1::2]:40001' 2>&1 | tee /dev/stderr | grep 'HALF'
}
t_why_protocol() {
	connection 'ipv4     2 icmp     1 29 src=192.0.2.9 dst=203.0.113.2 type=8 code=0 id=1 packets=1 bytes=84 src=203.0.113.2 dst=192.0.2.9 type=0 code=0 id=1 packets=1 bytes=84 mark=0 use=1'
	says 1 '^icmp 192.0.2.9 -> 203.0.113.2$' 'icmp stays in software' -- why 192.0.2.9
}
t_why_local() {
	connection 'ipv4     2 tcp      6 300 ESTABLISHED src=192.0.2.9 dst=192.0.2.1 sport=40009 dport=22 packets=9 bytes=900 src=192.0.2.1 dst=192.0.2.9 sport=22 dport=40009 packets=8 bytes=800 [ASSURED] mark=0 use=1'
	says 1 '192.0.2.1 is its own address' -- why 192.0.2.9
}
t_why_handshake() { tcp '100 SYN_SENT' ''; says 1 ', SYN_SENT' 'TCP is SYN_SENT' -- why 192.0.2.9; }
t_why_helper() { tcp '100 ESTABLISHED' '[ASSURED] helper=ftp'; says 1 'the helper ftp' -- why 192.0.2.9; }
t_why_other_driver() { tcp '' '[HW_OFFLOAD]'; says 1 'another driver' -- why 192.0.2.9; }
t_why_quarantined() { tcp '' '[OFFLOAD]'; edit s/running/quarantined/ status; says 1 'is quarantined' 'do: see dmesg' -- why 192.0.2.9; }
t_why_paused() { tcp '' '[OFFLOAD]'; edit 's/paused: 0/paused: 1/' status; says 1 'do: nft-offload pause off' -- why 192.0.2.9; }
t_why_loaded_late() { tcp '' '[OFFLOAD]'; edit 's/flowtables: 1/flowtables: 0/' status; says 1 'before the module' 'do: load the ruleset again' -- why 192.0.2.9; }
t_why_software_for_now() { tcp '' '[OFFLOAD]'; says 1 'not been asked yet' -- why 192.0.2.9; }
t_why_idle() { tcp '100 ESTABLISHED' '[ASSURED]'; says 1 'no packet came' 'do: ask again.*' 'below br-lan, lan2 is not in the flowtable' -- why 192.0.2.9; }
t_why_no_flowtable() {
	tcp '100 ESTABLISHED' '[ASSURED]'
	ruleset <<<'table inet fw4 { }'
	says 1 'has no flowtable' 'do: add one' -- why 192.0.2.9
}
t_why_no_flag() {
	tcp '' '[OFFLOAD]'
	sed -i '/flags offload/d' "$tmp/bin/nft"
	says 1 'no flowtable of the ruleset has the flag' 'inet:fw4:ft' 'do: add "flags offload;"' -- why 192.0.2.9
}
t_why_no_device() {
	tcp '100 ESTABLISHED' '[ASSURED]'
	sed -i 's/, "wan"//' "$tmp/bin/nft"
	says 1 '203.0.113.2 is reached by wan.7, and flowtable inet:fw4:ft lacks wan' 'do: add wan to' -- why 192.0.2.9
	sed -i 's/{ lan }/{ wan }/' "$tmp/bin/nft"
	says 1 'reached by br-lan, and flowtable inet:fw4:ft lacks lan, lan2' 'the one of these' -- why 192.0.2.9
}
t_why_devices_in_lines() {
	tcp '100 ESTABLISHED' '[ASSURED]'
	sed -i 's/devices = .*/devices = { "la*",\n wan }/' "$tmp/bin/nft"
	says 1 'no packet came' -- why 192.0.2.9 && hides 'lan2' why 192.0.2.9
}
t_why_pppoe() {
	tcp '100 ESTABLISHED' '[ASSURED]'
	file sys/class/net/wan.7/type <<<512
	rmdir "$R/sys/class/net/wan.7/lower_wan"
	file proc/net/pppoe <<<$'Id       Address              Device\n00000007 02:00:00:00:02:02      wan'
	says 1 'no packet came' -- why 192.0.2.9
}
t_why_no_rule() { tcp '100 ESTABLISHED' '[ASSURED]'; sed -i '/flow add/d' "$tmp/bin/nft"; says 1 'no rule in a forward chain' 'do: meta l4proto { tcp, udp } flow add @ft$' -- why 192.0.2.9; }
t_why_rule_elsewhere() {
	tcp '100 ESTABLISHED' '[ASSURED]'
	sed -i 's/^\(.*\)meta l4proto.*/\1jump fast/; $ i chain fast {\nflow add @ft\n}' "$tmp/bin/nft"
	cat "$tmp/bin/nft"
	says 1 'no packet came' -- why 192.0.2.9 || return 1
	sed -i 's/jump fast/accept/' "$tmp/bin/nft"
	says 1 'no rule in a forward chain' -- why 192.0.2.9
}
t_why_rule_late() {
	tcp '100 ESTABLISHED' '[ASSURED]'
	sed -i 's/policy drop;/policy drop;\nct state established,related accept/' "$tmp/bin/nft"
	says 1 'accepted before they come to the rule' 'do: move' -- why 192.0.2.9
}
t_why_no_route() { tcp '100 ESTABLISHED' '[ASSURED]'; stub ip <<<'#!/bin/false'; says 1 'no route to 192.0.2.9' -- why 192.0.2.9; }
t_why_no_nft() { tcp '100 ESTABLISHED' '[ASSURED]'; stub nft <<<'#!/bin/false'; says 1 'install nft' -- why 192.0.2.9; }
# conntrack's mark says nothing where one flowtable has replaced another: the tables of module
# and engine do.
t_why_without_the_mark() {
	connection 'ipv4     2 tcp      6 100 ESTABLISHED src=192.0.2.2 dst=203.0.113.2 sport=40000 dport=443 packets=1000 bytes=1500000 src=203.0.113.2 dst=203.0.113.1 sport=443 dport=40000 packets=2 bytes=300 [ASSURED] mark=0 use=3'
	says 0 'original: bound in hardware, slot 02dd0' 'in hardware, both directions' -- why 192.0.2.2
}
t_why_not_in_the_table() {
	edit /^06dd1/d bind
	says 1 'original: bound in hardware' 'reply: the module calls it bound, and the table of the engine 0000:00:05.0 has no entry in slot 06dd1' 'do: ask again.*audit' 'HALF in hardware' -- why 192.0.2.2 &&
		valid 1 'j["connections"][0]["hardware"] == "one" and "has no entry in slot 06dd1" in j["connections"][0]["says"]' why --json 192.0.2.2 || return 1
	: >"$R/sys/kernel/debug/nft_offload/0000:00:05.0/bind"
	says 1 'NOT in hardware' -- why 192.0.2.2 || return 1
	# The slot of another flow is none of its own.
	file sys/kernel/debug/nft_offload/0000:00:05.0/bind <<<'02dd0 UNB IPv4 5T orig=192.0.2.2:40000->203.0.113.2:443'
	says 1 'NOT in hardware' -- why 192.0.2.2
}
t_why_behind_a_bond() {
	tcp '100 ESTABLISHED' '[ASSURED]'
	device wan.7 vlan
	rmdir "$R/sys/class/net/wan.7/lower_wan"
	device wan.7 vlan bond0
	device bond0 bond wan wan2
	says 1 '203.0.113.2 is reached by wan.7, which is above bond0: a bond hides the port' 'do: let the port itself' -- why 192.0.2.9
}
t_why_behind_a_macvlan() {
	tcp '' '[OFFLOAD]'
	device wan.7 ''
	sed -i "2 i case \"\$*\" in *'link show dev wan.7') echo '9: wan.7@wan: <UP> mtu 1500     macvlan mode bridge bcqueuelen 1000'; exit ;; esac" "$tmp/bin/ip"
	says 1 '203.0.113.2 is reached by wan.7: a macvlan hides the port' -- why 192.0.2.9
}
# One port of a bridge is not hidden.
t_why_a_bond_in_a_bridge() {
	tcp '100 ESTABLISHED' '[ASSURED]'
	device br-lan bridge a-bond z-bond
	device a-bond bond lan3
	device z-bond bond lan4
	hides 'hides the port' why 192.0.2.9
}
