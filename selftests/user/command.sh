#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# nft-offload, run by the shell and the awk of routers, tells the truth about real flows.
. "$(dirname "$0")/../lib/lib.sh"
# The test watches the flow for longer than the usual timeout.
# shellcheck disable=SC2034 # used by begin
FLOWTABLE_TIMEOUT=$((30 * SLOW))
begin 38

cli() { busybox ash /usr/bin/nft-offload "$@"; }

# says STATUS PATTERN… -- ARG…: nft-offload ends with that status, and a line matches each pattern
says()
{
	local want=$1 got=0 out pattern
	local -a patterns=()
	shift
	while [ "$1" != -- ]; do
		patterns+=("$1")
		shift
	done
	shift
	out=$(cli "$@" 2>&1) || got=$?
	echo "$out"
	equal "exit status" "$got" "$want" || return 1
	for pattern in "${patterns[@]}"; do
		grep -qE -- "$pattern" <<<"$out" || { echo "no line is like: $pattern"; return 1; }
	done
}

# json EXPRESSION ARG…: it prints JSON, and the expression holds for it, as j
json()
{
	local expression=$1
	shift
	cli "$@" | tee /dev/stderr | lan -i python3 -c '
import json, sys
j = json.load(sys.stdin)
assert eval("(" + sys.argv[1] + ")"), sys.argv[1]' "$expression"
}

# opened FLOW PROTO…: opens a flow that has traffic, but is not offloaded.
opened()
{
	conntrack -F >/dev/null 2>&1
	peer open "$@" && peer send "$1" both 20 100 gap=2
}

engine=${ENGINE##*/}
check "check: without a ruleset it says what to do" \
	says 1 '^FAIL  ruleset: it has no flowtable: add one' '^ok    engine .* is running' -- check
MASQ=1 check "the ruleset loads" ruleset hardware
check "check: all is ready" says 0 '^ok    flowtable inet:fw4:ft has the flag' '^ok    .* used by a rule' \
	'^ok    port 1 of .*: lan is up' '^ok    shaping' -- check
check "check: there is no warning" not sh -c 'busybox ash /usr/bin/nft-offload check | grep -E "^(warn|FAIL)"'

# --- a flow in hardware --------------------------------------------------------------
peer capture >/dev/null
check "a flow is offloaded" flow_offloaded f 5201 sport=40001
peer send f both 200 100 >/dev/null
check "status" says 0 "^$engine: $(chip) \(pci\), running" 'bound +2 of ' 'port 1 +lan, up$' 'port 2 +wan, up$' -- status
check "status --json" json 'j["engines"][0]["bound"] == 2 and j["engines"][0]["ports"][0]["device"] == "lan" and
	j["engines"][0]["stats"]["bound_now"] == 2' status --json
# The flow must not age in hardware meanwhile.
again() { peer send f both 2 100 >/dev/null; }
again
check "flows" says 0 "^bound +[0-9a-f]{5} +lan +wan .* udp $LAN_HOST4:40001->$WAN_HOST4:5201 as $WAN_ROUTER4:40001->" \
	"^bound +[0-9a-f]{5} +wan +lan " -- flows
check "flows of an address behind NAT" says 0 "$LAN_HOST4:40001" -- flows --addr "$WAN_ROUTER4:40001" --limit 1
check "flows --json" json "len(j['flows']) == 2 and {f['dir'] for f in j['flows']} == {'original', 'reply'}" flows --json
check_counts "flows --json: the sum" json "j['total']['flows'] == 2 and len(j['flows']) == 1 and
	j['total']['packets'] > j['flows'][0]['packets']" flows --json --limit 1
again
for address in "$LAN_HOST4" "$WAN_HOST4:5201" "$WAN_ROUTER4:40001"; do
	check "why: $address is in hardware" says 0 "^udp $LAN_HOST4:40001 -> $WAN_HOST4:5201, answered" \
		'original: bound in hardware, slot [0-9a-f]{5} ' 'reply: bound' 'in hardware, both directions' -- why "$address"
done
check_counts "why: it says how many packets" says 0 'original: .*: 20[0-9] packets' -- why "$LAN_HOST4"
again
check "stats" says 0 '^bound_now +2$' -- stats
check "audit" says 0 "^$engine: no fault; 2 flows, 2 bound" -- audit
peer stream f up 200 100 >/dev/null
check "top: two rounds" says 0 '^2 flows, ' -- top 1 2
# shellcheck disable=SC2016 # awk's
check_counts "top: the rate is right" sh -c "busybox ash /usr/bin/nft-offload top 1 2 | tee /dev/stderr |
	awk '/:40001->.*:5201/ { rows++; if (\$2 < 100 || \$2 > 400) bad = 1 } END { exit bad || rows < 2 }'"
peer halt f >/dev/null

# --- what flows in hardware pass by --------------------------------------------------
passed_by()
{
	nft add chain inet fw4 mangle '{ type filter hook forward priority mangle; }' &&
		nft add rule inet fw4 mangle tcp dport 22 ip dscp set ef && nft add rule inet fw4 mangle udp dport 53 limit rate over 1 mbytes/second drop &&
		nft add rule inet fw4 mangle ct original bytes gt 1000000 counter && nft add rule inet fw4 mangle ct state new counter &&
		nft add table netdev ban && nft add chain netdev ban in '{ type filter hook ingress device wan priority -500; }' &&
		nft add rule netdev ban in ip saddr 203.0.113.99 drop && ip link add link lan name lan.20 type vlan id 20 &&
		says 0 '^warn  rule of inet:fw4:mangle: "tcp dport 22 ip dscp set ef"' 'udp dport 53 limit rate over 1 mbytes/second drop": .* does not limit' \
			'ct original bytes > 1000000 counter": .*flush all' '^warn  chain netdev:ban:in at ingress of wan: ' \
			'^warn  port 1 .* 2 networks share lan .VLANs: lan.20.' -- check && not sh -c 'busybox ash /usr/bin/nft-offload check | grep "ct state new"'
}
check "check: rules, chains and VLANs that the hardware passes by" passed_by
nft delete chain inet fw4 mangle
nft delete table netdev ban
ip link del lan.20
check "check: no warning is left" not sh -c 'busybox ash /usr/bin/nft-offload check | grep -E "^(warn|FAIL)"'

# --- flush, pause, policy -----------------------------------------------------------
check "flush: a flow" says 0 -- flush flow udp "$LAN_HOST4:40001" "$WAN_HOST4:5201"
check "the flow left the hardware" engine_bound_is 0
check "why: it waits for packets" wait_for 5 says 1 'NOT in hardware' 'no packet came' 'do: ask again' -- why "$LAN_HOST4"
check "pause" says 0 'flush all' -- pause on
check "flush all" says 0 -- flush all
peer send f both 20 100 gap=2 >/dev/null
check "why: paused" says 1 'NOT in hardware' 'original: refused, paused .* lan to wan' 'why: New flows are kept in software' -- why "$LAN_HOST4:40001"
check "check: paused" says 0 '^warn  engine .* paused: nft-offload pause off' -- check
check "pause off" says 0 -- pause off
check "the flow comes back" offloaded f 5201
check "policy: a key" says 0 -- policy reserve 16
check "policy: the key is set" says 0 '^reserve 16$' -- policy
cli policy reserve 0 >/dev/null
peer close f >/dev/null

# --- flows that are not in hardware -----------------------------------------------------
nft add chain inet fw4 six '{ type nat hook postrouting priority srcnat; }'
nft add rule inet fw4 six meta nfproto ipv6 udp dport 5206 masquerade
opened g udp lan "$WAN_HOST6" 5206 >"$OUT"
check "why: NAT of IPv6" says 1 'NOT in hardware' 'refused, nat66' 'why: .*route IPv6 without NAT' -- why "[$WAN_HOST6]:5206"
check "refused" says 0 ' nat66 +lan +wan +udp .*:5206$' ' paused +lan +wan +udp .*:5201$' -- refused
peer close g >/dev/null

lacking()
{
	nft delete table inet fw4 && DEVICES='"lan"' ruleset hardware && opened h udp lan "$WAN_HOST4" 5203 || return 1
	says 1 'NOT in hardware' "$WAN_HOST4 is reached by wan, and flowtable inet:fw4:ft lacks wan" 'do: add wan' -- why "$WAN_HOST4:5203" &&
		says 0 '^warn  flowtable inet:fw4:ft lacks wan' -- check
}
check "why, check: a flowtable without the device" lacking
peer close h >/dev/null

software()
{
	nft delete table inet fw4 && ruleset software && opened i udp lan "$WAN_HOST4" 5204 || return 1
	says 1 'NOT in hardware' 'no flowtable of the ruleset has the flag offload' 'do: add "flags offload;"' -- why "$WAN_HOST4:5204" &&
		says 1 '^FAIL  flowtable inet:fw4:ft lacks "flags offload;"' -- check
}
check "why, check: a software flowtable" software
peer close i >/dev/null

to_come()
{
	nft delete table inet fw4 && DEVICES='lan, wan, wan.10' ruleset hardware || return 1
	not ip link add link wan name wan.10 type vlan id 10 &&
		says 0 '^warn  flowtable inet:fw4:ft names wan.10, which no device is called: .*Operation not permitted' -- check
}
check "check: a device that the flowtable's name keeps away" to_come

without_module()
{
	rmmod nft_offload
	says 3 'not loaded: modprobe nft_offload' -- why "$WAN_HOST4" &&
		says 1 '^FAIL  the module nft_offload is not loaded' '^ok    nf_flow_table is (loaded|built in)$' -- check
}
check "without the module it says so" without_module
finish
