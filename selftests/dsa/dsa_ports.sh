#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --switch lan
# The ports of a switch behind the lan (DSA) come and go, before and after the module is loaded;
# their flows leave the hardware with them. The module ignores switches with other tags.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/switch.sh"
begin_dsa $((2 + 4 + 7 + 5 + 4))

check "a switch with ports 0 and 4 is behind the lan" plugged
check "the module knows the ports" knows_ports

# --- ports that go away -----------------------------------------------------------------------

# two_flows: one flow at each port, both in hardware
two_flows()
{
	conntrack -F >/dev/null 2>&1
	ruleset hardware && peer capture && peer open a udp zero "$WAN_HOST4" 6000 to=wan &&
		peer open b udp four "$WAN_HOST4" 6004 to=wan && offloaded a :6000 && offloaded b :6004 &&
		engine_bound_is 4
}
counted()
{
	peer send b both 200 300 && exact udp "dport=6004" lan "$four_out proto=udp dport=6004" wan "proto=udp sport=6004"
}
one_left() { bound_is 2 :6000 && bound_is 0 :6004 && engine_bound_is 2; }
flowtable_timeout 30
check "a flow at each port is offloaded" two_flows
check_counts "conntrack counts to the byte" counted
check "port 4 is set down" ip link set lan4 down
check "its flow leaves the hardware, the other stays" wait_for 3 one_left

again() { peer close a && peer close b && two_flows; }
lan4_up()
{
	# IPv6 addresses go with the link.
	ip link set lan4 up && ip link set lan4.10 up && wait_for 5 carrier lan4 &&
		ip -6 addr replace 2001:db8:b::1/64 dev lan4 nodad &&
		wait_for 5 hosts nsenter --net=/run/netns/four ping -c 1 -W 1 "$WAN_HOST4"
}
link() { echo "$1" >/sys/module/nft_offload_switch/parameters/link; }
check "port 4 is set up" lan4_up
check "its flow is offloaded again" again
check "port 4 loses its link" link Y,Y,Y,Y,N,Y,Y
check "its flow leaves the hardware, the other stays" wait_for 5 one_left
check "the module says so" wait_for 5 shows "1\.4" lan4 down
check "port 4 has its link again" link Y,Y,Y,Y,Y,Y,Y
check "the flow is offloaded again by itself" wait_for 10 offloaded b :6004

# --- the module after the switch ------------------------------------------------------------

reload() { rmmod nft_offload && load && knows_ports; }
no_ports() { not grep -q '^port .*lan[04]' "$ENGINE/status"; }
peer close a >"$OUT"
peer close b >"$OUT"
check "a module that is loaded later knows the ports" reload
check "it offloads their flows" two_flows
check "the switch goes while flows are in hardware" unplug zero four tagged
check "nothing is bound" none_bound
check "the module has forgotten the ports" no_ports

# --- another protocol of tags -----------------------------------------------------------------

other() { plug dsa && host zero lan0 $ZERO_MAC d0 $ZERO4 $ZERO6 && shows "1\.0" lan0 up 3; }
refused()
{
	local before
	before=$(reject_of dsa-tag)
	conntrack -F >/dev/null 2>&1
	peer capture && peer open c udp zero "$WAN_HOST4" 6010 to=wan && peer send c both 20 100 gap=20 || return 1
	equal "refused as dsa-tag" $(($(reject_of dsa-tag) - before)) 2 && bound_is 0
}
nft delete table inet fw4
check "a switch has tags that the chip does not know" other
check "the ruleset loads" ruleset hardware
check "a flow of it stays in software" refused
check "this switch goes, too" unplug zero
finish
