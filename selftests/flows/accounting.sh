#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# At the end of each flow conntrack has counted the packets and bytes of the wire, to the
# byte, for packets by hardware and by software, and for short flows too. If a chip does not
# count, conntrack has only what the CPU saw: then the test checks only that flows end.
. "$(dirname "$0")/../lib/lib.sh"
begin 20

tuple="src=$LAN_HOST4 dst=$WAN_HOST4" back="src=$WAN_HOST4 dst=$LAN_HOST4"
check "the ruleset loads" ruleset hardware

# ended PROTO COUNT SIZE: one flow with so many messages each way; it ends
ended()
{
	conntrack -F >/dev/null 2>&1
	peer capture >/dev/null
	peer open f "$1" lan "$WAN_HOST4" 5201 && offloaded f "" && peer send f both "$2" "$3" &&
		peer close f && wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
}

for proto in udp tcp; do
	for size in 4 18 1400; do
		check "$proto: 300 messages of $size bytes each way" ended $proto 300 $size
		check_counts "$proto: exact at the end of the flow of $size bytes" \
			exact $proto dport=5201 lan "proto=$proto $tuple dport=5201" wan "proto=$proto $back sport=5201"
	done
done

# Only hardware sees the flow's packets, for longer than its timeouts. So the flow lives only
# because the module reports the time of the last packet. One packet with TTL 1 reaches
# conntrack and starts conntrack's own timeout; the flowtable has to extend it again.
conntrack -F >/dev/null 2>&1
sysctl -qw net.netfilter.nf_conntrack_udp_timeout_stream=3
check "a flow is in hardware" flow_offloaded long 5203 sport=40003
connection()
{
	conntrack -L -p udp -o id 2>/dev/null | sed -n 's/.*sport=40003 .* id=\([0-9]*\).*/\1/p'
}
seen_by_conntrack() { peer raw lan ttl1 long; }
before=$(connection) ended=$(stat_of destroyed)
peer stream long both 20 100 >"$OUT"
check "conntrack sees one packet of it" seen_by_conntrack
sleep $((3 * FLOWTABLE_TIMEOUT))
check "long after, it is still the same connection" equal connection "$(connection)" "$before"
check "it was in hardware all the time" equal destroyed "$(stat_of destroyed)" "$ended"
peer halt long >"$OUT"
peer close long >"$OUT"
sysctl -qw net.netfilter.nf_conntrack_udp_timeout_stream=120

# The table is deleted while the flow runs: the last counts are not lost.
conntrack -F >/dev/null 2>&1
peer capture >/dev/null
peer open f udp lan "$WAN_HOST4" 5204 >/dev/null && offloaded f "" >"$OUT" 2>&1
check "a flow runs in hardware" peer send f both 500 300
check "its table is deleted" nft delete table inet fw4
check_counts "the counts are exact after the table is gone" exact udp dport=5204 \
	lan "proto=udp $tuple dport=5204" wan "proto=udp $back sport=5204"
finish
