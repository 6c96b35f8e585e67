#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Hosts with 802.1Q tags at a bridge. Hardware passes the tags on, adds and removes them, and
# replaces them, by filters of tc's flower, as a bridge with VLANs does.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/bridged.sh"
begin $((3 * (1 + 2 * BRIDGED_POINTS)))

# over LAN_TAG WAN_TAG: hosts with these tags (- for none) in one VLAN of the bridge
over()
{
	local port tag dev
	bridge_up tagged || return 1
	# A bridge without VLANs passes tags on.
	if [ "$1" != "$2" ] && [ "${SOFTWARE-}" != tc ]; then
		ip link set br0 type bridge vlan_filtering 1 vlan_default_pvid 0 || return 1
		for port in lan wan; do
			tag=$1
			[ $port = lan ] || tag=$2
			if [ "$tag" = - ]; then
				bridge vlan add dev $port vid 10 pvid untagged || return 1
			else
				bridge vlan add dev $port vid "$tag" || return 1
			fi
		done
	fi
	for port in lan wan; do
		tag=$1 dev=eth0.$1
		[ $port = lan ] || tag=$2 dev=eth0.$2
		if [ "$tag" = - ]; then
			dev=eth0
		fi
		host $port "$tag" "$dev" || return 1
	done
	[ "${SOFTWARE-}" = tc ] || bridge_works
}

# host PORT TAG DEV: its address, and its neighbour
host()
{
	local here4=$HERE4 here6=$HERE6 there4=$THERE4 there6=$THERE6 mac=$WAN_HOST_MAC
	[ "$1" = lan ] || here4=$THERE4 here6=$THERE6 there4=$HERE4 there6=$HERE6 mac=$LAN_HOST_MAC
	if [ "$2" = - ]; then
		"$1" sh -c "ip addr add $here4/15 dev eth0; ip addr add $here6/64 dev eth0 nodad"
	else
		peer vlan "$1" "$2" "$here4/15" "$here6/64" || return 1
	fi
	"$1" sh -c "ip neigh replace $there4 lladdr $mac dev $3; ip neigh replace $there6 lladdr $mac dev $3"
}

apart()
{
	if [ "$1" = - ]; then
		lan sh -c "ip addr del $HERE4/15 dev eth0; ip addr del $HERE6/64 dev eth0"
	else
		peer unplug "lan.$1"
	fi
	if [ "$2" = - ]; then
		wan sh -c "ip addr del $THERE4/15 dev eth0; ip addr del $THERE6/64 dev eth0"
	else
		peer unplug "wan.$2"
	fi
	no_bridge
}

# tags LAN_TAG WAN_TAG LAN_ACTION WAN_ACTION DPORT
tags()
{
	local near=${1/-/None} far=${2/-/None} flow dport=$5
	check "lan $1, wan $2: the hosts are at the bridge" over "$1" "$2"
	for flow in "udp 4" "tcp 6"; do
		bridged "lan $1, wan $2, ${flow/ / over IPv}" "${flow% *}" "${flow#* }" "$dport" \
			"vlan=$near" "vlan=$far" "vlan=$far" "vlan=$near" "$1" "$2" "$3" "$4"
		dport=$((dport + 1))
	done
	apart "$1" "$2" >"$OUT" 2>&1
}

tags 10 10 "" "" 5600
tags 10 - "action vlan pop pipe" "action vlan push id 10 pipe" 5610
# A bridge does not do this; filters of tc do it in software.
SOFTWARE=tc
tags 10 20 "action vlan pop pipe action vlan push id 20 pipe" "action vlan pop pipe action vlan push id 10 pipe" 5620
finish
