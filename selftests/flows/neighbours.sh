#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The neighbours of flows in hardware stay known as those of flows in software do: a stale one is
# asked whether it is still there, and one that was replaced is found again.
. "$(dirname "$0")/../lib/lib.sh"
begin 11

for family in ipv4 ipv6; do
	for dev in lan wan; do
		sysctl -qw net.$family.neigh.$dev.base_reachable_time_ms=2000 \
			net.$family.neigh.$dev.delay_first_probe_time=1 net.$family.neigh.$dev.retrans_time_ms=500
	done
done
# A neighbour that an earlier test has confirmed would stay reachable for the time of then.
ip neigh flush dev lan
ip neigh flush dev wan

state_of()
{
	ip neigh show "$1" dev "$2" | awk '{ print $NF }'
}
# is STATE ADDR DEV
is()
{
	local state
	state=$(state_of "$2" "$3")
	echo "$2 at $3 is $state, want $1"
	[ "$state" = "$1" ]
}
seen_stale_and_back()
{
	wait_for 15 is STALE "$WAN_HOST4" wan && wait_for 15 is REACHABLE "$WAN_HOST4" wan
}
all_stale()
{
	wait_for 12 is STALE "$LAN_HOST4" lan && wait_for 12 is STALE "$WAN_HOST4" wan
}

# Long enough for a flow to have no packets while its neighbours get stale.
flowtable_timeout 30
check "the ruleset loads" ruleset hardware
check "a flow is offloaded" flow_offloaded f 5201 alone
check "its neighbours get stale" all_stale
still_stale()
{
	sleep 8
	is STALE "$LAN_HOST4" lan && is STALE "$WAN_HOST4" wan && bound_is 2
}
check "a flow without packets asks nobody" still_stale

# One way only: no answers confirm anything.
seen=$(router_rx)
peer stream f up 20 100 >/dev/null
check "the neighbour of packets in hardware is asked" wait_for 15 is REACHABLE "$WAN_HOST4" wan
check "again and again" seen_stale_and_back
check "that of the other direction is not" is STALE "$LAN_HOST4" lan
check "few frames came to the router" [ $(($(router_rx) - seen)) -lt 20 ]

# Another host with the same address takes the place of the wan host and says nothing.
NEW_MAC=02:00:5e:10:77:01
replaced()
{
	wan ip link set eth0 address $NEW_MAC
}
packets_find_it()
{
	peer capture && sleep 1 && [ "$(frames wan in proto=udp dmac=$NEW_MAC)" -gt 0 ]
}
check "the wan host is replaced" replaced
check "packets find the new one" wait_for 30 packets_find_it
check "the flow is in hardware" wait_for 5 bound_is 2
peer halt f >/dev/null
peer close f >/dev/null
wan ip link set eth0 address "$WAN_HOST_MAC"
ip neigh flush all
finish
