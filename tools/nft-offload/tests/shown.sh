# SPDX-License-Identifier: GPL-2.0-only
# Tests of status, stats, refused, audit, flows and top. Part of tests/run, which sources it.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # for and of tests/run

t_status() {
	says 0 '^0000:00:05.0: mt7986 \(pci\), running' 'bound +5 of 32768 entries \(0\.0 %\), 1 parked' \
		'5\.0G packets, 6\.4TB' 'refused +12 of 34 offers: nat66 10, paused 2$' 'port 1 +lan, up$' 'refuse_shaped 1' -- status
}
t_status_of_a_broken_engine() {
	edit 's/running/quarantined/; s/paused: 0/paused: 1/; s/ lan up flowtables=1/ lan down flowtables=0/; s/ wan up.*/ no device/' status
	says 1 quarantined 'stopped answering' 'pause off' 'port 1 +lan, down, in no flowtable' 'port 2 +no device' -- status
}
t_status_of_a_switch() {
	edit '$ a port 1.4: lan4 up dsa-tag=9' status
	says 0 'port 1.4 +lan4, up, behind a switch' -- status
	valid 'j["engines"][0]["ports"][2] == {"port": "1.4", "device": "lan4", "link": "up", "dsa-tag": 9}' status --json
}
t_status_json() {
	valid 'j["engines"][0]["chip"] == "mt7986" and j["engines"][0]["entries"] == 32768 and
		j["engines"][0]["bridge_rules"] == 0 and j["engines"][0]["capabilities"]["vlan-tags"] == 2 and
		j["engines"][0]["ports"][1]["device"] == "wan" and j["engines"][0]["rejects"]["nat66"] == 10 and
		j["engines"][0]["policy"]["reserve"] == 0' status --json
}
t_odd_names_in_json() {
	edit 's/ lan up/ 7"\\x up/' status
	edit 's/in=lan/in=7"\\x/; s/out=lan/out=0/' flows
	valid 'j["engines"][0]["ports"][0]["device"] == "7\"\\x"' status --json &&
		valid 'j["flows"][0]["out"] == "0" and j["flows"][1]["in"] == "7\"\\x" and j["flows"][0]["bytes"] == 6400000000000 and
			[f["slot"] for f in j["flows"]] == ["06dd1", "02dd0", "12345", "-", "00010"]' flows --json
}
t_several_engines() {
	engine 0001:00:05.0
	says 0 '^0000:00:05.0: mt7986' '^0001:00:05.0: mt7986' -- status &&
		valid 'len(j["engines"]) == 2 and j["engines"][1]["name"] == "0001:00:05.0" and len(j["engines"][1]["ports"]) == 2' status --json &&
		valid 'len(j["engines"]) == 1' --engine 0001:00:05.0 status --json &&
		hides 0000:00 --engine=0001:00:05.0 flows &&
		says 0 '40000.* 0001:00:05.0$' -- flows && says 0 '^0001:00:05.0: not paused' -- pause &&
		says 0 0001 -- policy && valid 'len(j["flows"]) == 10' flows --json
}
t_stats() {
	says 0 '^offered +34' '^bytes +6400000000000$' '^nat66: 10, the last 3s ago' 'First sentence with  two blanks; do this\.$' -- stats &&
		hides 'Never given' stats
}
counted() {
	local name
	for name in rx_packets:11 rx_bytes:1200 tx_packets:13 tx_bytes:14000000000; do file "sys/class/net/wan/statistics/${name%:*}" <<<"${name#*:}"; done
}
t_stats_of_ports() {
	counted
	says 0 '^port 2 wan +received 11 packets, 1200 bytes; sent 13 packets, 14000000000 bytes$' -- stats && hides '^port 1' stats &&
		valid 'j["engines"][0]["ports"][1]["tx_bytes"] == 14000000000 and "rx_bytes" not in j["engines"][0]["ports"][0] and
			"chip" not in j["engines"][0]' stats --json
}
t_stats_for_prometheus() {
	counted
	engine 0001:00:05.0
	sed -i 's/running/quarantined/; s/ lan up/ 7"\\x<b> up/; s/paused: 0/paused: 1/' "$R/sys/kernel/debug/nft_offload/0001:00:05.0/status"
	says 0 '^# HELP nft_offload_engine_up [A-Z1].*[.]$' '^# TYPE nft_offload_engine_up gauge$' '^nft_offload_engine_up\{engine="0000:00:05.0"\} 1$' \
		'^nft_offload_engine_up\{engine="0001:00:05.0"\} 0$' '^nft_offload_paused\{engine="0001:00:05.0"\} 1$' \
		'^nft_offload_occupancy_percent\{engine="0000:00:05.0"\} 0.015$' '^nft_offload_entries\{.*\} 32768$' \
		'^# TYPE nft_offload_bytes_total counter$' '^nft_offload_bytes_total\{engine="0000:00:05.0"\} 6400000000000$' '^nft_offload_bound_now\{.*\} 5$' \
		'^nft_offload_port_transmit_bytes_total\{engine="0000:00:05.0",port="2",device="wan"\} 14000000000$' \
		'^nft_offload_port_up\{engine="0001:00:05.0",port="1",device="7\\"\\\\x<b>"\} 1$' \
		'^nft_offload_reject_reasons_total\{engine="0000:00:05.0",reason="nat66"\} 10$' -- stats --prometheus || return 1
	# Each metric has one HELP and one TYPE, and its samples are together.
	nft_offload stats --prometheus | awk '
		/^# HELP/ { if (helped[$3]++) bad = 1; now = $3; next }
		/^# TYPE/ { if ($3 != now || $4 !~ /^(gauge|counter)$/ || ($4 == "counter") != ($3 ~ /_total$/)) bad = 1; next }
		index($0, now "{") != 1 { bad = 1 }
		END { exit bad || NR < 40 }' && fails 2 'does not go with it' status --prometheus && fails 2 'json or --prometheus' stats --json --prometheus
}
t_stats_json() { valid 'j["engines"][0]["stats"]["bytes"] == 6400000000000 and j["engines"][0]["rejects"]["vlan"] == 0' stats --json; }

t_refused() {
	nft_offload refused | awk '{ print $3, $6, $7 }' | paste -sd, >"$tmp/refused"
	grep -x 'REASON FLOW ,\(nat66 udp 192.0.2.4:40003->203.0.113.2:53\|vlan 47 -\),\(nat66 udp 192.0.2.4:40003->203.0.113.2:53\|vlan 47 -\),nat66 udp \[2001:db8:2::2\]:53->\[2001:db8:1::2\]:40001,paused udp .*' "$tmp/refused" &&
		says 0 '^      2s       3  nat66            lan        wan        udp 192\.0\.2\.4:40003->203\.0\.113\.2:53$' -- refused &&
		hides '40001|47 -' refused --addr 192.0.2.4 && hides paused refused --limit 3 && fails 2 'not a number' refused --limit x
}
t_refused_json() {
	valid '[r["reason"] for r in j["reasons"]] == ["nat66", "paused"] and j["reasons"][0] == {"engine": "0000:00:05.0",
		"reason": "nat66", "count": 10, "age": 3.25, "says": "First sentence with  two blanks; do this."} and
		len(j["flows"]) == 4 and j["flows"][3]["reason"] == "paused" and j["flows"][2]["times"] == 2 and
		j["flows"][2]["in"] == "wan" and {"47", "udp"} == {f["proto"] for f in j["flows"]}' refused --json &&
		valid 'len(j["flows"]) == 1 and len(j["reasons"]) == 2' refused --json --limit 1
}
t_nothing_refused() {
	edit '/^flow/d; s/^\([a-z0-9]*\) [0-9]* [^ ]*/\1 0 -/' rejects
	valid 'j == {"version": 1, "reasons": [], "flows": []}' refused --json && says 0 '^ +AGE' -- refused
}
t_refused_by_several_engines() {
	engine 0001:00:05.0
	says 0 ' paused .* 0001:00:05.0$' -- refused && valid 'len(j["reasons"]) == 4 and len(j["flows"]) == 8' refused --json
}

t_audit() {
	says 0 '^0000:00:05.0: no fault; 5 flows, 3 bound; took 0.007 s$' '^  the first run$' '^  half_bound 1: no fault' \
		'^    slot=00010 proto=udp .*opposite=refused:nat66$' -- audit && hides 'orphan|do:' audit
}
t_audit_json() {
	valid 'j["engines"][0]["name"] == "0000:00:05.0" and j["engines"][0]["bound"] == 3 and j["engines"][0]["took"] == 0.007 and
		j["engines"][0]["last_run"] is None and j["engines"][0]["found"] == [{"kind": "half_bound", "slot": "00010", "proto": "udp",
		"orig": "[2001:db8:1::2]:40001->[2001:db8:2::2]:53", "age": 5, "opposite": "refused:nat66"}]' audit --json
}
# Those of the first reading are not shown.
faulty() {
	edit 's/^orphans 0/orphans 9/; s/^faults 0/faults 9/' audit
	stub sleep <<-'EOT'
		#!/bin/sh
		cd "$NFT_OFFLOAD_ROOT/sys/kernel/debug/nft_offload/0000:00:05.0" || exit 1
		sed -i 's/^orphans 9/orphans 1/; s/^faults 9/faults 2/; s/^runs 1/runs 2/; s/^last_run -/last_run 62.000/; s/^last_faults -/last_faults 9/
			1 i orphan slot=00012\nunread slots=00100-00200' audit
	EOT
}
t_audit_with_faults() {
	faulty
	says 1 '^0000:00:05.0: 2 faults' '^  run 2; the one before, 1m2s ago, found 9 faults' '^  orphan 1: the hardware' '^    slot=00012$' \
		'^  unread 1: these' '^    slots=00100-00200$' 'do: nft-offload flush all' -- audit
}
t_audit_with_faults_json() {
	faulty
	valid 1 'j["engines"][0]["faults"] == 2 and j["engines"][0]["last_run"] == 62 and
		j["engines"][0]["found"][0] == {"kind": "orphan", "slot": "00012"} and j["engines"][0]["found"][1]["slots"] == "00100-00200"' audit --json
}
t_audit_that_finds_a_flow_coming() {
	edit 's/^stale 0/stale 1/; s/^faults 0/faults 1/' audit
	stub sleep <<<$'#!/bin/sh\nsed -i "s/^stale 1/stale 0/; s/^faults 1/faults 0/" "$NFT_OFFLOAD_ROOT"/sys/kernel/debug/nft_offload/*/audit'
	says 0 'no fault;' -- audit
}
t_audit_of_several_engines() {
	engine 0001:00:05.0
	faulty
	says 1 '^0000:00:05.0: 2 faults' '^0001:00:05.0: no fault' -- audit && says 0 '^0001' -- --engine 0001:00:05.0 audit
}
t_audit_of_an_old_module() {
	edit /^faults/d audit
	fails 3 'older than this program' audit && rm "$R/sys/kernel/debug/nft_offload/0000:00:05.0/audit" && fails 3 'older than this program' audit
}

t_flows_by_bytes() {
	nft_offload flows | awk 'NR > 1 { print $2 }' | paste -sd' ' | grep -x '06dd1 02dd0 12345 - 00010' &&
		says 0 '^bound +02dd0 +lan +wan +1m2s +0s +1\.0k +1\.5MB? +tcp 192.0.2.2:40000->203.0.113.2:443 as 203' \
			'vlan-in=10,20 pppoe=7$' '^parked +-' '1h1m' -- flows
}
t_flows_sorted() {
	nft_offload flows --sort age --limit 2 | awk '{ print $1 }' | paste -sd' ' | grep -xE 'STATE (aged parked|parked aged)' &&
		nft_offload flows --sort=idle --limit=3 | tail -n 1 | grep 00010 &&
		nft_offload flows --sort packets --limit 1 | tail -n 1 | grep 06dd1
}
# A sort without keys would put 6.4T before, and 300 after, what begins with another digit.
t_top_by_rate() {
	stub sleep <<-'EOT'
		#!/bin/sh
		cd "$NFT_OFFLOAD_ROOT" || exit 1
		sed -i 's/bytes=1500000/bytes=1100000000/; s/bytes=300/bytes=600000000/; s/bytes=1000 /bytes=3001000 /; s/bytes=1100 /bytes=51100 /' sys/kernel/debug/nft_offload/*/flows
		echo '102.00 1' >proc/uptime
	EOT
	nft_offload top 1 1 | awk 'NR > 2 { print $1 }' | paste -sd' ' | grep -x '4.4G 2.4G 12.0M 200.0k 0'
}
t_flows_sum_up() {
	valid 'j["total"] == {"flows": 5, "packets": 5000001024, "bytes": 6400001502400} and [f["slot"] for f in j["flows"]] == ["06dd1"]' \
		flows --json --limit 1 &&
		valid 'j["total"] == {"flows": 1, "packets": 3, "bytes": 300} and len(j["flows"]) == 1' flows --json --addr 2001:db8:1::2 &&
		hides 6400001502400 flows
}
t_flows_filtered() {
	count() { nft_offload flows "${@:2}" | awk 'NR > 1' | tee /dev/stderr | wc -l | grep -qx "$1"; }
	count 2 --state bound --addr 203.0.113.2 && count 5 --dev wan && count 5 --dev=lan && count 1 --state parked &&
		count 2 --addr 203.0.113.1:40000 && count 1 --addr 2001:DB8:1:0::2 && count 1 --addr '[2001:db8:2::2]:53' &&
		count 0 --addr '[2001:db8:2::2]:54' && count 0 --addr 203.0.113
}
t_flows_of_a_prefix() {
	count() { nft_offload flows "${@:2}" | awk 'NR > 1' | tee /dev/stderr | wc -l | grep -qx "$1"; }
	count 4 --addr 192.0.2.0/24 && count 2 --addr 192.0.2.2/32 && count 4 --addr 192.0.2.2/31 && count 0 --addr 192.0.2.0/31 &&
		count 4 --addr 0.0.0.0/0 && count 1 --addr ::/0 && count 1 --addr 2001:db8::/32 && count 0 --addr 2001:db9::/32 &&
		count 1 --addr 2001:db8:1::3/127 && count 0 --addr 2001:db8:1::4/127 && count 1 --addr 2001:DB8:1:0::2/128 &&
		count 1 --addr 2001:db8:3::/47 && count 4 --addr 203.0.127.0/20 && count 0 --addr 203.0.128.0/20 || return 1
	local a
	for a in 192.0.2.0/33 192.0.2.0/ 192.0.2.0/x 2001:db8::/129 192.0.2.2:80/24 192.0.2/24 /24 1.2.3.4/24/8 1.2.3.4/08 "192.0.2.0/\$(id)" 2001:db8:/32 :::/3; do
		fails 2 'is not a' flows --addr "$a" || return 1
	done
	fails 2 'not an address' why 192.0.2.0/24 && fails 2 'not an address' flush flow tcp 192.0.2.0/24 1.2.3.4:1
}
t_flows_of_a_protocol() {
	valid '{f["proto"] for f in j["flows"]} == {"udp"} and j["total"]["flows"] == 1' flows --json --proto udp &&
		valid 'len(j["flows"]) == 4' flows --json --proto=tcp && valid 'len(j["flows"]) == 1' refused --json --proto 47 &&
		fails 2 'not tcp, udp or the number' flows --proto sctp
}
t_flows_of_an_unknown_device() {
	fails 2 'has the device eth9; there are: lan wan;' flows --dev eth9 && fails 2 'there are: lan wan;' flows --dev la --json &&
		edit 's/ lan up.*/ no device/; s/ wan up.*/ no device/' status && fails 2 'there are: none' flows --dev lan
}
t_no_flows() { edit d flows; says 0 '^STATE' -- flows && valid 'j == {"version": 1, "total": {"flows": 0, "packets": 0, "bytes": 0}, "flows": []}' flows --json && sleeps && says 0 '^0 flows' -- top 1 1; }

sleeps() { stub sleep <<<$'#!/bin/sh\necho "101.00 1" >"$NFT_OFFLOAD_ROOT/proc/uptime"'; }

# Two seconds later one flow has 1,000,000 bytes more, another was bound anew, and there
# are two more, of which one has begun meanwhile.
t_top() {
	stub sleep <<-'EOT'
		#!/bin/sh
		cd "$NFT_OFFLOAD_ROOT" || exit 1
		sed -i 's/packets=1000 bytes=1500000/packets=1700 bytes=2500000/; s/packets=3 bytes=300/packets=1 bytes=100/' sys/kernel/debug/nft_offload/*/flows
		for new in 192.0.2.50:1 192.0.2.51:9.5; do
			echo "slot=00011 state=bound dir=reply proto=udp orig=${new%:*}:1->203.0.113.9:1 new=${new%:*}:1->203.0.113.9:1 in=lan out=wan age=${new#*:} idle=0.000 packets=10 bytes=10000 owner=1" >>sys/kernel/debug/nft_offload/0000:00:05.0/flows
		done
		echo '102.00 1' >proc/uptime
	EOT
	says 0 '^7 flows, 4\.0Mbit/s, 356 packets/s over 2\.0 s' '^ +4\.0M +350 +lan +wan +tcp 192.0.2.2:40000->' \
		'^ +400 +0 ' '^ +40\.0k +5 .*192.0.2.50' '^ +0 +0 .*192.0.2.51' -- top 1 1 || return 1
	file proc/uptime <<<'100.00 1'
	engine 0000:00:05.0
	nft_offload top 1 1 | sed -n 3p | grep :40000
}
# On a terminal it draws anew, and Ctrl-C ends it as if nothing were wrong.
t_top_on_a_terminal() {
	stub sleep <<-'EOT'
		#!/bin/sh
		read up idle <"$NFT_OFFLOAD_ROOT/proc/uptime"
		echo "$((${up%.*} + 1)).00 1" >"$NFT_OFFLOAD_ROOT/proc/uptime"
		exec /usr/bin/sleep 0.2
	EOT
	timeout 20 python3 - "${SHELL_WORDS[@]}" "$here/nft-offload" top <<-'EOT'
		import os, pty, sys, time
		pid, fd = pty.fork()
		if not pid:
		    os.execvp(sys.argv[1], sys.argv[1:])
		seen = b""
		while seen.count(b"\x1b[H\x1b[J5 flows") < 3:
		    seen += os.read(fd, 1000)
		os.write(fd, b"\x03")
		try:
		    while True:
		        more = os.read(fd, 1000)
		        if not more: break
		        seen += more
		except OSError:
		    pass
		status = os.waitpid(pid, 0)[1]
		print(status, seen[-200:])
		sys.exit(status != 0)
	EOT
}

t_top_json() {
	stub sleep <<-'EOT'
		#!/bin/sh
		echo '101.00 1' >"$NFT_OFFLOAD_ROOT/proc/uptime"
		sed -i s/bytes=1500000/bytes=2500000/ "$NFT_OFFLOAD_ROOT"/sys/kernel/debug/nft_offload/0000:00:05.0/flows
	EOT
	valid 'j["version"] == 1 and j["seconds"] == 1 and j["flows"] == 5 and j["bits_per_second"] == 8000000 and len(j["fastest"]) == 5 and
		j["fastest"][0] == {"engine": "0000:00:05.0", "proto": "tcp", "orig": "192.0.2.2:40000->203.0.113.2:443", "in": "lan",
		"out": "wan", "bits_per_second": 8000000, "packets_per_second": 0}' top 1 1 --json
}

# A program that only looks at the exit status may leave --json out.
t_status_of_a_broken_engine_in_json() {
	edit s/running/quarantined/ status
	valid 1 'j["engines"][0]["engine"] == "quarantined" and j["version"] == 1' status --json && valid 'j["version"] == 1' stats --json
}
