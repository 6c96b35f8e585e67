#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --switch lan
# The ports of a switch behind the lan (DSA): flows with IPv4 and IPv6, with NAT, with a VLAN, and
# from port to port. Hardware makes the same frames as the kernel, special tag included.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/switch.sh"
begin_dsa $((2 + 10 * LIKE_POINTS + 1))

check "a switch with ports 0 and 4 is behind the lan" plugged
check "the module knows the ports" knows_ports

dport=5500
# Source port minus destination port. With this distance both directions of each flow find a slot
# on MT7621 too, where some buckets have only one.
AWAY=10411

# with_wan HOST FLOW…: FLOW is proto and family, and n for NAT
with_wan()
{
	local host=$1 flow proto here there seen out=${1}_out in=${1}_in
	shift
	for flow; do
		proto=${flow:0:3} here=${host^^}${flow:3:1} there=WAN_HOST${flow:3:1} seen=$here MASQ=
		[ "${flow:4}" != n ] || seen=WAN_ROUTER${flow:3:1} MASQ=1
		dport=$((dport + 1))
		like_software "$host and wan, $proto over IPv${flow:3:1}${MASQ:+ with NAT}" "$proto" lan wan "${!there}" $dport \
			"${!out} src=${!here} dst=${!there} dport=$dport" "$wan_in src=${!seen} dst=${!there} dport=$dport" \
			"$wan_out src=${!there} dst=${!seen} sport=$dport" "${!in} src=${!there} dst=${!here} sport=$dport" \
			from="$host" to=wan sport=$((dport + AWAY))
	done
}
with_wan zero udp4n udp6 tcp4n
with_wan four udp4n tcp6
with_wan tagged udp4n udp6 tcp4
MASQ=
for proto in udp tcp; do
	dport=$((dport + 1)) here=$ZERO4 there=$FOUR4
	[ $proto = udp ] || here=$ZERO6 there=$FOUR6
	up="src=$here dst=$there dport=$dport" down="src=$there dst=$here sport=$dport"
	like_software "zero and four, $proto" $proto lan lan $there $dport \
		"$zero_out $up" "$four_in $up" "$four_out $down" "$zero_in $down" from=zero to=four sport=$((dport + AWAY))
done
check "the switch goes" unplug zero four tagged
finish
