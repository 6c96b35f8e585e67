#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# chips: all
# What every chip has to do, in a few seconds: IPv4 with translation and IPv6
# through the hardware, counted, and nothing left when the table goes.
. "$(dirname "$0")/lib.sh"
begin 15

MASQ=1
check "the ruleset loads" ruleset hardware
note "$(head -n 6 "$ENGINE/status" | tr '\n' ' ')"
for family in 4 6; do
	host=LAN_HOST$family dst=WAN_HOST$family seen=LAN_HOST6
	[ $family = 6 ] || seen=WAN_ROUTER4
	peer capture >/dev/null
	check "IPv$family: opens" peer open f$family udp lan "${!dst}" 521$family sport=4000$family
	check "IPv$family: both directions are bound" offloaded f$family "521$family"
	check "IPv$family: under 1 % of the frames reach the router" few_reach_router f$family 150
	check "IPv$family: the right frames came out at the wan" same_frames \
		lan "proto=udp src=${!host} dst=${!dst} sport=4000$family" \
		wan "proto=udp src=${!seen} dst=${!dst} dport=521$family"
	check "IPv$family: the right frames came out at the lan" same_frames \
		wan "proto=udp src=${!dst} dst=${!seen} sport=521$family" \
		lan "proto=udp src=${!dst} dst=${!host} dport=4000$family"
done
check "four directions are bound in the engine" engine_bound_is 4

# Nothing but what began with this capture is in the counters of the flow.
conntrack -F >/dev/null 2>&1
check "nothing stays bound without its connection" wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
peer capture >/dev/null
offloaded f4 5214 >/dev/null && peer send f4 both 50 300 >/dev/null
nft delete table inet fw4
check "nothing stays bound without its table" engine_bound_is 0
check_counts "conntrack's count is exact" exact udp dport=5214 \
	lan "proto=udp src=$LAN_HOST4 dport=5214" wan "proto=udp src=$WAN_HOST4 sport=5214"
finish
