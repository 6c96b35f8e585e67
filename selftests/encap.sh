# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Flows between a lan and a wan that have VLAN tags or a PPPoE session, each by the
# kernel's software path and by hardware. For pppoe.sh, which reads lib.sh.

SESSION=	# the process that keeps the PPPoE session

# tagged PORT TAGS: the router's VLAN devices, and one of the host's. The last tag may
# be p and a number: a PPPoE session.
tagged()
{
	local port=$1 tag lower=$1 host=${1^^}_HOST_MAC
	for tag in ${2//./ }; do
		if [ "${tag#p}" != "$tag" ]; then
			session "$lower" "${tag#p}" "${!host}" "$port-ppp" || return 1
			lower=$port-ppp
			continue
		fi
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

# session LOWER ID MAC NAME: a PPPoE session of the router's kernel, without what pppd
# agrees upon before it
session()
{
	modprobe -a pppoe ppp_generic || return 1
	labagent pppoe "$1" "$2" "$3" &
	SESSION=$!
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		ip link set ppp0 name "$4" 2>/dev/null && break
		usleep 100000
	done
	ip link set "$4" mtu 1492 up
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
	if [ "$SESSION" ]; then
		# Nobody asks for addresses in a PPPoE session; in the hosts it is Ethernet.
		wan sh -c "ip neigh replace $FAR4 lladdr $WAN_PORT_MAC dev eth0.$2; ip neigh replace $FAR6 lladdr $WAN_PORT_MAC dev eth0.$2"
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
	[ -z "$SESSION" ] || kill "$SESSION"
	SESSION=
	[ "$1" = - ] || { peer unplug "lan.$1" && ip link del "lan.${1%%.*}"; }
	[ "$2" = - ] || { peer unplug "wan.$2" && ip link del "wan.${2%%.*}"; }
}

# tag_filter TAGS: what frames with them look like to traffic.py
tag_filter()
{
	local vlans=${1%p*} session=None
	[ "$vlans" = "$1" ] || session=${1##*p}
	vlans=${vlans%.}
	echo "vlan=${vlans:-None} pppoe=$session" | sed 's/=-/=None/'
}

# with_tags LAN_TAGS WAN_TAGS FLOW…: FLOW is proto and family, and n for NAT
with_tags()
{
	local near=$1 far=$2 what flow proto family dport=5300 here there seen lan_tags wan_tags
	shift 2
	check "lan $near, wan $far: the hosts reach each other" set_up "$near" "$far"
	lan_tags=$(tag_filter "$near") wan_tags=$(tag_filter "$far")
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
