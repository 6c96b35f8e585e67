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
	local port tag
	bridge_up alone || return 1
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
	host lan "$1" && host wan "$2" || return 1
	[ "${SOFTWARE-}" = tc ] || bridge_works
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
	no_host lan "$1" >"$OUT" 2>&1
	no_host wan "$2" >"$OUT" 2>&1
	no_bridge >"$OUT" 2>&1
}

tags 10 10 "" "" 5600
tags 10 - "action vlan pop pipe" "action vlan push id 10 pipe" 5610
# A bridge does not do this; filters of tc do it in software.
SOFTWARE=tc
tags 10 20 "action vlan pop pipe action vlan push id 20 pipe" "action vlan pop pipe action vlan push id 10 pipe" 5620
finish
