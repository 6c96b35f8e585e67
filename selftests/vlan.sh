#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# One and two 802.1Q tags, put on, taken off and changed for others, with IPv4 and
# IPv6: hardware makes the same frames as the kernel does.
. "$(dirname "$0")/lib.sh"

# tagged PORT TAGS: the router's VLAN devices, and one of the host's
tagged()
{
	local port=$1 tag lower=$1
	for tag in ${2//./ }; do
		ip link add link "$lower" name "$lower.$tag" type vlan id "$tag" || return 1
		lower=$lower.$tag
		ip link set "$lower" up
	done
	case $port in
	lan) ip addr add 198.51.100.1/25 dev "$lower" && ip addr add 2001:db8:a::1/64 dev "$lower" nodad &&
		peer vlan lan "$2" 198.51.100.2/25 2001:db8:a::2/64 ;;
	wan) ip addr add 198.51.100.129/25 dev "$lower" && ip addr add 2001:db8:b::1/64 dev "$lower" nodad &&
		peer vlan wan "$2" 198.51.100.130/25 2001:db8:b::2/64 ;;
	esac
}

# set_up LAN_TAGS WAN_TAGS: - is none. HERE and THERE are the hosts' addresses then,
# and NEAR and FAR those of the router beside them, followed by 4 or 6.
set_up()
{
	HERE4=$LAN_HOST4 HERE6=$LAN_HOST6 NEAR4=$LAN_ROUTER4 NEAR6=$LAN_ROUTER6
	THERE4=$WAN_HOST4 THERE6=$WAN_HOST6 FAR4=$WAN_ROUTER4 FAR6=$WAN_ROUTER6
	if [ "$1" != - ]; then
		tagged lan "$1" || return 1
		HERE4=198.51.100.2 HERE6=2001:db8:a::2 NEAR4=198.51.100.1 NEAR6=2001:db8:a::1
	fi
	if [ "$2" != - ]; then
		tagged wan "$2" || return 1
		THERE4=198.51.100.130 THERE6=2001:db8:b::2 FAR4=198.51.100.129 FAR6=2001:db8:b::1
	fi
	lan sh -c "ip route replace $THERE4 via $NEAR4; ip -6 route replace $THERE6 via $NEAR6" &&
		wan sh -c "ip route replace $HERE4 via $FAR4; ip -6 route replace $HERE6 via $FAR6" || return 1
	lan ping -c 1 -W 2 "$THERE4" && lan ping -c 1 -W 2 "$THERE6"
}

tear_down()
{
	nft delete table inet fw4
	lan sh -c "ip route del $THERE4; ip -6 route del $THERE6"
	wan sh -c "ip route del $HERE4; ip -6 route del $HERE6"
	[ "$1" = - ] || { peer unplug "lan.$1" && ip link del "lan.${1%%.*}"; }
	[ "$2" = - ] || { peer unplug "wan.$2" && ip link del "wan.${2%%.*}"; }
}

# with_tags LAN_TAGS WAN_TAGS FLOW…: FLOW is proto and family, and n for NAT
with_tags()
{
	local near=$1 far=$2 what flow proto family dport=5300 here there seen lan_tags wan_tags
	shift 2
	check "lan $near, wan $far: the hosts reach each other" set_up "$near" "$far"
	lan_tags="vlan=${near/#-/None}" wan_tags="vlan=${far/#-/None}"
	for flow; do
		proto=${flow:0:3} family=${flow:3:1}
		here=HERE$family there=THERE$family seen=$here MASQ=
		[ "${flow:4}" != n ] || seen=FAR$family MASQ=1
		dport=$((dport + 1))
		what="lan $near, wan $far, $proto over IPv$family${MASQ:+ with NAT}"
		like_software "$what" "$proto" lan wan "${!there}" $dport \
			"$lan_tags src=${!here} dst=${!there} dport=$dport" "$wan_tags src=${!seen} dst=${!there} dport=$dport" \
			"$wan_tags src=${!there} dst=${!seen} sport=$dport" "$lan_tags src=${!there} dst=${!here} sport=$dport" \
			sport=$((dport + 10000))
	done
	tear_down "$near" "$far" >/dev/null 2>&1
}

begin $((7 + 14 * LIKE_POINTS + 1))
with_tags 10 - udp4 udp6 tcp4
with_tags - 20 udp4n udp6 tcp4n
with_tags 10 20 udp4n udp6
with_tags 10.11 - udp4 udp6
with_tags - 20.21 tcp4n
with_tags 10.11 20.21 udp4n udp6
with_tags 10.11 20 tcp6
check "the log is clean" log_clean
finish
