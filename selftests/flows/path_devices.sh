#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vcpus 2
# oracle: none
# What devices do to the paths of flows: the port or a device above it gets another Ethernet
# address, a macvlan goes, a bridge loses a VLAN, a leg of a multipath route loses its link. 100 ms
# after that no frame leaves by the old path. Where a macvlan or an ipvlan stands above the wan,
# hardware sends what the software flowtable sends.
. "$(dirname "$0")/../lib/lib.sh"
. "$here/software.sh"
begin 22
FAR4=198.51.100.9
OWN_MAC=02:00:00:00:01:88

# streams_to FLOW DST DPORT: in hardware, with traffic
streams_to()
{
	peer open "$1" udp lan "$2" "$3" && offloaded "$1" ":$3" && peer stream "$1" up 50 100
}
# settled OLD NEW [DPORT]: 100 ms from now on no frame is as OLD says, and some are as NEW says
settled()
{
	local since old new
	usleep 100000
	peer capture && peer time || return 1
	since="time_ms>=$(field time_ms)"
	sleep 1
	# shellcheck disable=SC2086 # words
	old=$(frames wan in proto=udp "$since" $1) new=$(frames wan in proto=udp "$since" $2)
	echo "$old frames with $1, $new with $2"
	[ "$old" = 0 ] && { [ -z "$2" ] || [ "$new" -gt 5 ]; }
}
ends()
{
	peer halt "$1"
	peer close "$1"
	conntrack -F >/dev/null 2>&1
}

# --- the Ethernet address of a port ----------------------------------------------------------
check "the ruleset loads" ruleset hardware
peer capture >"$OUT"
check "a flow is in hardware" streams_to port "$WAN_HOST4" 5501
ip link set wan address $OWN_MAC
check "the port's new address is in its frames" settled "smac=$WAN_PORT_MAC" "smac=$OWN_MAC"
check "it comes back to hardware" wait_for 8 bound_is 1 ":5501[^0-9].*$OWN_MAC"
ip link set wan address "$WAN_PORT_MAC"
check "so it is when the address changes back" settled "smac=$OWN_MAC" "smac=$WAN_PORT_MAC"

# --- a macvlan --------------------------------------------------------------------------------
ip link add vrrp link lan type macvlan mode private
ip link set vrrp up
check "the flow is in hardware, beside a macvlan" wait_for 8 bound_is 1 "orig=[^ ]*:5501 "
moved=$(stat_of moved)
ip link del vrrp
left()
{
	[ "$(stat_of moved)" -gt "$moved" ]
}
check "flows of the port leave hardware when the macvlan goes" wait_for 1 left
ends port >"$OUT"

# --- a macvlan or an ipvlan above the wan -----------------------------------------------------
# A packet that comes in by the wan has its flow leave by the wan, whatever the route: the flowtable
# looks for the way back by the device at which the packet came.
OTHER_MAC=02:00:00:00:03:01
# above DEVICE HOST KIND [OPTION…]: x0, above DEVICE, has the route to HOST. It answers no ARP, so
# HOST sends to the address of DEVICE.
above()
{
	local dev=$1 dst=$2 kind=$3
	shift 3
	ip link add x0 link "$dev" type "$kind" "$@" && sysctl -qw net.ipv4.conf.x0.arp_ignore=8 && ip link set x0 up &&
		ip addr add "${dst%.*}.9/24" dev x0 noprefixroute && ip route replace "$dst" dev x0 &&
		ip neigh replace "$dst" lladdr "$WAN_HOST_MAC" dev x0
}
in_flowtable() { conntrack -L -p udp 2>/dev/null | grep "dport=$1 " | grep '\[OFFLOAD\]'; }
# taken MODE DST DPORT: the flow is in the flowtable, or in hardware
taken()
{
	nft delete table inet fw4 2>/dev/null
	conntrack -F >/dev/null 2>&1
	ruleset "$1" && peer open f udp lan "$2" "$3" && peer send f both 4 100 || return 1
	if [ "$1" = hardware ]; then offloaded f ":$3"; else wait_for 2 in_flowtable "$3"; fi
}
# alike_to DST DPORT: the software flowtable and hardware change frames alike, and keep wan's address
alike_to()
{
	local mode UP DOWN was=
	for mode in software hardware; do
		taken $mode "$1" "$2" && peer capture && peer send f both 20 100 || return 1
		both_changed lan wan "proto=udp dport=$2" "proto=udp dport=$2" "proto=udp sport=$2" "proto=udp sport=$2" || return 1
		[ "$(frames wan in proto=udp "smac=$WAN_PORT_MAC")" = 20 ] || { echo "$UP"; return 1; }
		[ $mode = software ] || equal "what changed" "$UP $DOWN" "$was" || return 1
		was="$UP $DOWN"
		peer close f
	done
}
routed_above()
{
	local status=0
	above "$@" && alike_to "$2" 5504 || status=1
	ip link del x0
	return $status
}
# to_other_mac: packets of a flow to the address of a macvlan are the flow's all the same
to_other_mac()
{
	local mode
	for mode in software hardware; do
		wan ip neigh replace "$WAN_ROUTER4" lladdr "$WAN_PORT_MAC" dev eth0
		taken $mode "$WAN_HOST4" 5505 || return 1
		wan ip neigh replace "$WAN_ROUTER4" lladdr $OTHER_MAC dev eth0
		peer capture && peer send f down 10 100 && [ "$(frames wan out proto=udp dmac=$OTHER_MAC)" = 10 ] || return 1
		peer close f
	done
}
replies_above()
{
	above wan "$WAN_HOST4" macvlan mode bridge && ip link set x0 address $OTHER_MAC || return 1
	conntrack -F >/dev/null 2>&1
	peer open f udp lan "$WAN_HOST4" 5506 && peer send f both 10 100 && peer capture && peer send f both 20 100 || return 1
	usleep 300000
	bound_is 0 :5506 && equal frames "$(frames wan in proto=udp smac=$OTHER_MAC)" 20
}
check "above is a macvlan: hardware sends as software does" routed_above wan "$WAN_HOST4" macvlan mode bridge
if modprobe ipvlan; then
	check "above is an ipvlan: hardware sends as software does" routed_above wan "$WAN_HOST4" ipvlan mode l2
else
	ktap_test_skip "above is an ipvlan: this kernel has none"
fi
tagged()
{
	ip link add link wan name wan.40 type vlan id 40 && ip addr add 10.40.0.1/24 dev wan.40 &&
		ip link set wan.40 up && peer vlan wan 40 10.40.0.2/24 && wait_for 5 ping -c 1 -W 1 10.40.0.2 &&
		wan ip route replace 192.0.2.0/24 via 10.40.0.1 && routed_above wan.40 10.40.0.2 macvlan mode private
}
check "above a VLAN is a macvlan: hardware sends as software does" tagged
wan ip route replace 192.0.2.0/24 via "$WAN_ROUTER4"
peer unplug wan.40 >"$OUT"
ip link del wan.40
ip link add x0 link wan address $OTHER_MAC type macvlan mode private
ip link set x0 up
check "frames to a macvlan's address are the flow's, as in software" to_other_mac
ip link del x0
check "a flow to and from a macvlan stays in software, with its address" replies_above
peer close f >"$OUT"
ip link del x0
wan ip neigh del "$WAN_ROUTER4" dev eth0
nft delete table inet fw4
ruleset hardware
warm_up

# --- a leg of a multipath route -----------------------------------------------------------------
legs()
{
	local id
	for id in 10 20; do
		ip link add link wan name wan.$id type vlan id $id && ip addr add 10.$id.0.1/24 dev wan.$id &&
			ip link set wan.$id up && peer vlan wan $id 10.$id.0.2/24 &&
			wait_for 5 ping -c 1 -W 1 10.$id.0.2 || return 1
	done
	wan ip addr add $FAR4/32 dev eth0
	ip route add $FAR4/32 nexthop via 10.10.0.2 dev wan.10 nexthop via 10.20.0.2 dev wan.20
}
check "there is a route with two legs" legs
check "a flow is in hardware" streams_to far $FAR4 5502
peer capture >"$OUT"
usleep 300000
if [ "$(frames wan in proto=udp vlan=10)" -gt 0 ]; then leg=10 rest=20; else leg=20 rest=10; fi
note "the flow takes the leg in VLAN $leg"
ip link set wan.$leg down
check "the leg loses its link, and frames take the other" settled "vlan=$leg" "vlan=$rest"
ip link set wan.$leg up
ends far >"$OUT"
ip route del $FAR4/32 2>"$OUT"
for id in 10 20; do
	peer unplug wan.$id >"$OUT"
	ip link del wan.$id
done
nft delete table inet fw4

# --- a VLAN of a bridge ---------------------------------------------------------------------------
modprobe bridge
bridged()
{
	ip link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0 vlan_filtering 1 vlan_default_pvid 0 &&
		ip link set wan master br0 && ip link set br0 up &&
		bridge vlan add dev wan vid 30 && bridge vlan add dev br0 vid 30 self &&
		ip link add link br0 name br0.30 type vlan id 30 && ip addr add 10.30.0.1/24 dev br0.30 &&
		ip link set br0.30 up && peer vlan wan 30 10.30.0.2/24 && wait_for 5 ping -c 1 -W 1 10.30.0.2 &&
		wan ip route replace 192.0.2.0/24 via 10.30.0.1
}
check "the wan is a tagged port of a bridge" bridged
RULES='meta iifname br0.30 accept; meta oifname br0.30 accept' check "the ruleset loads, for the bridge" ruleset hardware
check "a flow through the bridge is in hardware" streams_to bridged 10.30.0.2 5503
bridge fdb replace 02:00:00:00:0f:0f dev wan master static vlan 30
check "an FDB entry of another station leaves it there" bound_is 1 "orig=[^ ]*:5503 "
ip link set br0 address 02:00:00:00:01:77
check "the bridge's new address is in its frames" settled "vlan=30 smac!=02:00:00:00:01:77" "vlan=30 smac=02:00:00:00:01:77"
check "it comes back to hardware with that" wait_for 8 bound_is 1 "orig=[^ ]*:5503 "
bridge vlan del dev wan vid 30
check "without the VLAN no frame leaves" settled vlan=30 ""
ends bridged >"$OUT"
nft delete table inet fw4
ip link del br0.30
ip link del br0
finish
