#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vcpus 2
# oracle: none
# The path of a flow changes: a host gets another Ethernet address or goes to another port of a
# bridge, a route leads elsewhere, the router loses an address. 100 ms after the kernel knows of
# the change, hardware does not forward on the old path any more, and the flow comes back on the
# new path.
. "$(dirname "$0")/../lib/lib.sh"
begin 47
needs_oracle

FAR4=198.51.100.9			# behind the wan's host
OTHER_MAC=02:00:00:00:02:77 OTHER4=203.0.113.77
TO_OLD=dmac=$WAN_HOST_MAC TO_NEW=dmac=$OTHER_MAC

# streams FLOW…: traffic that goes on
streams()
{
	local flow
	for flow; do
		peer stream "$flow" up 20 100 || return 1
	done
}

# settled OLD NEW: frames that are sent 100 ms from now on come out as NEW says, and none as OLD
# says. Both are filters of traffic.py. ALSO is a filter for all frames that count.
settled()
{
	usleep 100000
	peer capture && peer time || return 1
	SINCE="time_ms>=$(field time_ms)"
	sleep "${FOR-1}"
	only "$@"
}
only()
{
	local old new
	# shellcheck disable=SC2086 # words
	old=$(frames "${AT-wan}" in $ALSO "$SINCE" $1) new=$(frames "${AT-wan}" in $ALSO "$SINCE" $2)
	echo "at the ${AT-wan} with $ALSO: $old frames with $1, $new with $2"
	[ "$old" = 0 ] && [ "$new" -gt 5 ]
}

moved_since()
{
	local now
	now=$(stat_of moved)
	echo "moved: $1, now $now"
	[ "$now" -gt "$1" ]
}

# open_to FLOW DST DPORT [ARG…]: opened and in hardware
open_to() { peer open "$1" udp lan "$2" "$3" "${@:4}" && offloaded "$1" "$3"; }

back()
{
	# No packet comes back, so the entry of the reverse direction may have aged out.
	bound_is 3 "orig=[^ ]*->[^ ]*:530[123] " && return 0
	cat "$ENGINE/bind"
	tail -n 5 "$ENGINE/rejects"
	conntrack -L -p udp 2>/dev/null
	return 1
}

# --- a neighbour's Ethernet address ---------------------------------------------------------
wan ip addr add $FAR4/32 dev eth0
ip route add $FAR4/32 via "$WAN_HOST4"
check "the ruleset loads" ruleset hardware
peer capture >/dev/null
check "a flow to a neighbour is in hardware" open_to near "$WAN_HOST4" 5301
check "a flow to a host behind it is, too" open_to far $FAR4 5302
check "a flow over IPv6 is, too" open_to six "$WAN_HOST6" 5303
streams near far six >"$OUT"
moved=$(stat_of moved)

# new_mac MAC: the wan's host has it, and says so
new_mac()
{
	wan ip link set dev eth0 address "$1"
	wan ip neigh flush dev eth0
	wan ping -c 1 -w 5 "$WAN_ROUTER4" && wan ping -c 1 -w 5 "$WAN_ROUTER6"
}
check "the host gets another Ethernet address" new_mac $OTHER_MAC
ALSO="proto=udp dport=5301"
check "frames go there at once" settled "$TO_OLD" "$TO_NEW"
ALSO="proto=udp dport=5302"
check "so do frames of which it is the gateway" only "$TO_OLD" "$TO_NEW"
ALSO="proto=udp dport=5303"
check "so do frames over IPv6" only "$TO_OLD" "$TO_NEW"
check "the flows were in hardware, and had to leave it" moved_since "$moved"
check "the flows come back" wait_for 8 back
check "the old address is in no entry" not grep -q "eth=[^ ]*$WAN_HOST_MAC" "$ENGINE/bind"
new_mac "$WAN_HOST_MAC" >"$OUT" 2>&1
check "with the first address they come back once more" wait_for 8 back

# nf_flowtable keeps the path of flows that are not in hardware, and would offer them with it.
by_software()
{
	echo 1 >"$ENGINE/pause" && echo all >"$ENGINE/flush" && peer capture || return 1
	sleep 1
	bound_is 0 && [ "$(frames wan in proto=udp dport=5301)" -gt 5 ]
}
check "they go on in software" by_software
new_mac $OTHER_MAC >"$OUT" 2>&1
ALSO=proto=udp
check "frames by software go to the new address, too" settled "$TO_OLD" "$TO_NEW"
echo 0 >"$ENGINE/pause"
check "the flows come back to hardware" wait_for 8 back
check "they have the new address" not grep -q "eth=[^ ]*$WAN_HOST_MAC" "$ENGINE/bind"
new_mac "$WAN_HOST_MAC" >"$OUT" 2>&1
check "with the first address they come back" wait_for 8 back

# --- a route -----------------------------------------------------------------------------------
# The kernel announces a change of routes before it makes the change. A flow that comes back in
# between has the old path. That takes microseconds, so it is rare; here it takes 150 ms.
check "the kernel is slow to change routes" insmod "$ORACLE" slow=150
check "there is another gateway" peer station wan other $OTHER_MAC $OTHER4/24
ping -c 1 -w 5 $OTHER4 >"$OUT" 2>&1
moved=$(stat_of moved)
ip route replace $FAR4/32 via $OTHER4
ALSO="proto=udp dport=5302"
check "a route that changes takes its flow with it" settled "$TO_OLD" "$TO_NEW"
check "the flow was in hardware" moved_since "$moved"
check "other flows stay" bound_is 1 "orig=[^ ]*->[^ ]*:5301 "
ip route replace $FAR4/32 via "$WAN_HOST4"
check "so does the change back" settled "$TO_NEW" "$TO_OLD"

# The route stays, and a rule sends the packets of one host to another table.
check "it is in hardware" wait_for 8 bound_is 1 "orig=[^ ]*->[^ ]*:5302 "
moved=$(stat_of moved)
ip route add $FAR4/32 via $OTHER4 table 77
ip rule add from "$LAN_HOST4" to $FAR4 table 77
check "a new rule takes its flow with it" settled "$TO_OLD" "$TO_NEW"
check "the flow was in hardware when the rule came" moved_since "$moved"
ip rule del table 77
check "so does a rule that goes" settled "$TO_NEW" "$TO_OLD"
ip route flush table 77

# A nexthop object changes; the route that names it does not.
ip nexthop add id 7 via "$WAN_HOST4" dev wan
ip route replace $FAR4/32 nhid 7
check "by a nexthop object it is in hardware" wait_for 8 bound_is 1 "orig=[^ ]*->[^ ]*:5302 "
moved=$(stat_of moved)
ip nexthop replace id 7 via $OTHER4 dev wan
check "the object leads elsewhere" settled "$TO_OLD" "$TO_NEW"
check "the flow had to leave hardware" moved_since "$moved"
for flow in near far six; do
	peer halt $flow >"$OUT"
	peer close $flow >"$OUT"
done
ip route del $FAR4/32
ip nexthop del id 7
check "the kernel is as fast as before" rmmod nft_offload_oracle

# --- a flow that waits to be offered --------------------------------------------------------------
# The kernel queues offers, and does not withdraw the offer of a flow that ends meanwhile.
QUEUE=/sys/devices/virtual/workqueue/nf_ft_offload_add/max_active
nft delete table inet fw4
conntrack -F >/dev/null 2>&1
ip route add $FAR4/32 via "$WAN_HOST4"
at_once=$(cat "$QUEUE")
one_by_one() { insmod "$ORACLE" slow_offers=$((500 * SLOW)) && echo 1 >"$QUEUE"; }
check "the kernel offers flows slowly, and one by one" one_by_one
check "the ruleset loads" ruleset hardware
peer capture >/dev/null
waits()
{
	peer open turn udp lan "$WAN_HOST4" 5306 && peer send turn both 1 100 &&
		peer open late udp lan $FAR4 5307 && peer send late both 1 100 &&
		streams late && bound_is 0 ":5307 "
}
check "a flow waits until another one was offered" waits
ended=$(reject_of ended)
ip route replace $FAR4/32 via $OTHER4
ALSO="proto=udp dport=5307"
FOR=$((3 * SLOW)) check "its path changes meanwhile, and no frame takes the old one" settled "$TO_OLD" "$TO_NEW"
check "the module refused the cancelled offer" equal "refused, as it had ended" "$(($(reject_of ended) > ended))" 1
check "the flow comes back" wait_for 8 bound_is 1 "orig=[^ ]*->[^ ]*:5307 "
peer halt late >"$OUT"
peer close late >"$OUT"
peer close turn >"$OUT"
ip route del $FAR4/32
nft delete table inet fw4
echo "$at_once" >"$QUEUE"
check "the kernel is as fast as before" rmmod nft_offload_oracle

# --- an address of the router --------------------------------------------------------------------
conntrack -F >/dev/null 2>&1
MASQ=1 check "the ruleset loads, with masquerading" ruleset hardware
sysctl -qw net.ipv4.conf.wan.promote_secondaries=1
ip addr add 203.0.113.9/24 dev wan
check "a flow is in hardware, from the address that goes" open_to masq "$WAN_HOST4" 5304
streams masq >"$OUT"
ip addr del "$WAN_ROUTER4/24" dev wan
ALSO="proto=udp dport=5304"
check "without the address frames leave with the other one" settled "src=$WAN_ROUTER4" src=203.0.113.9
peer halt masq >"$OUT"
peer close masq >"$OUT"
ip addr add "$WAN_ROUTER4/24" dev wan
ip addr del 203.0.113.9/24 dev wan
nft delete table inet fw4

# --- a port of a bridge ------------------------------------------------------------------------------
conntrack -F >/dev/null 2>&1
modprobe bridge
bridged()
{
	ip link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0 &&
		ip addr flush dev lan && ip addr flush dev wan &&
		ip link set lan master br0 && ip link set wan master br0 && ip link set br0 up &&
		ip addr add "$LAN_ROUTER4/24" dev br0 && ip addr add "$WAN_ROUTER4/24" dev br0 || return 1
	lan ip neigh flush dev eth0
	wan ip neigh flush dev eth0
	hosts ip netns exec other ip route replace default via "$WAN_ROUTER4"
	sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.br0.send_redirects=0
	wait_for 5 lan ping -c 1 -W 1 "$LAN_ROUTER4" && wait_for 5 ping -c 1 -W 1 $OTHER4
}
check "both ports are in one bridge" bridged
RULES='meta iifname br0 accept' check "the ruleset loads" ruleset hardware
check "a flow to a host at the wan is in hardware" open_to moving $OTHER4 5305 to=other
streams moving >"$OUT"
# It keeps its addresses. What it sends tells the bridge.
move()
{
	peer unplug other && peer station lan other $OTHER_MAC $OTHER4/24 && wait_for 5 ping -c 1 -W 1 $OTHER4
}
check "the host moves to the lan" move
ALSO="proto=udp dport=5305"
AT=lan check "frames come out there" settled "dmac=$LAN_HOST_MAC" "$TO_NEW"
# shellcheck disable=SC2086 # words
check "and no longer at the wan" equal frames "$(frames wan in $ALSO "$SINCE")" 0
peer halt moving >"$OUT"
peer unplug other >"$OUT"
nft delete table inet fw4
finish
