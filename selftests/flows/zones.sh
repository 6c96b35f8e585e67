#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Connections in conntrack zones of their own are counted to the byte, also in a zone of one
# direction, and though another zone has a connection with the same addresses and ports.
. "$(dirname "$0")/../lib/lib.sh"
begin 13

tuple="src=$LAN_HOST4 dst=$WAN_HOST4" back="src=$WAN_HOST4 dst=$LAN_HOST4"
# zones RULE: which zone connections are in
zones()
{
	conntrack -F >/dev/null 2>&1
	nft "table inet zones; delete table inet zones; table inet zones {
		chain prerouting { type filter hook prerouting priority raw; $1; }
	}"
}
# ended PROTO PORT: 300 messages each way by hardware; the flow ends
ended()
{
	peer capture >/dev/null
	peer open f "$1" lan "$WAN_HOST4" "$2" && offloaded f ":$2" && peer send f both 300 1000 &&
		peer close f && wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
}
# exact_in ZONE PROTO PORT: the counts of the connection in that zone are those of the wire
exact_in()
{
	exact "$2" "dport=$3 .*$1" lan "proto=$2 $tuple dport=$3" wan "proto=$2 $back sport=$3"
}

check "the ruleset loads" ruleset hardware
check "all connections are in zone 7" zones 'ct zone set 7'
for proto in tcp udp; do
	check "$proto: a flow in zone 7 ends" ended $proto 5201
	check_counts "$proto: its counts are exact" exact_in zone=7 $proto 5201
done
check "no counts are lost" equal acct_unmatched "$(stat_of acct_unmatched)" 0

check "packets of the lan are in zone 9, and answers are in none" \
	zones "iifname lan ct original zone set 9"
check "tcp: a flow in the zone of one direction ends" ended tcp 5202
check_counts "tcp: its counts are exact" exact_in zone-orig=9 tcp 5202

# The same tuple in the default zone is another connection.
check "a connection in no zone is there first" zones accept
conntrack -I -p udp -s "$LAN_HOST4" -d "$WAN_HOST4" --sport 40003 --dport 5203 -t 300 >/dev/null
check "a flow of zone 7 has the same addresses and ports" eval "
	nft 'insert rule inet zones prerouting ct zone set 7' &&
	peer capture && flow_offloaded f 5203 alone sport=40003 && peer send f both 300 100 &&
	peer close f && wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0"
check_counts "its counts are exact" exact_in zone=7 udp 5203
nft delete table inet zones
finish
