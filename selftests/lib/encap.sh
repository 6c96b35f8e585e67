# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Flows between a lan and a wan with VLAN tags or a PPPoE session, by the kernel's software path and
# by hardware. For pppoe.sh and c_driver.sh, which read lib.sh.
. "$here/software.sh"

SESSION=	# the PPPoE session's number
SESSION_LOG=/tmp/pppd.log
SESSION_PID=/run/ppp-lab.pid
ECHO_FAILURES=$((3 * SLOW))	# LCP echoes, sent once a second, without an answer

# tagged PORT TAGS: VLAN devices of the router and one of the host. At the wan the last tag may be
# p: a PPPoE session with the provider.
tagged()
{
	local port=$1 tag lower=$1
	for tag in ${2//./ }; do
		if [ "$tag" = p ]; then
			provide "${2%p}" && dial "$lower"
			return
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

# provide TAGS: the provider's PPPoE server, behind those tags. Its sessions have routes to the
# networks at the lan.
provide()
{
	isp -i sh -s "${1//./ }" $ECHO_FAILURES <<-'EOF'
		set -e
		mkdir -p /etc/ppp
		cd /etc/ppp
		printf '%s\n' require-chap 'name isp' +ipv6 'mtu 1492' 'mru 1492' \
			'lcp-echo-interval 1' "lcp-echo-failure $2" >options.isp
		echo 'lab isp secret *' >chap-secrets
		printf '%s\n' '#!/bin/sh' 'ip route replace 192.0.2.0/24 dev $1' \
			'ip route replace 198.51.100.0/25 dev $1' >ip-up
		printf '%s\n' '#!/bin/sh' 'ip -6 route replace 2001:db8:1::/64 dev $1' \
			'ip -6 route replace 2001:db8:a::/64 dev $1' >ipv6-up
		chmod 600 chap-secrets
		chmod 755 ip-up ipv6-up
		lower=access
		for tag in $1; do
			ip link add link $lower name $lower.$tag type vlan id $tag
			lower=$lower.$tag
			ip link set $lower up
		done
		modprobe pppoe
		pppoe-server -I $lower -L 100.64.0.1 -R 100.64.0.10 -N 16 -o 65000 -k \
			-g "$(echo /usr/lib/pppd/*/pppoe.so)" -q "$(command -v pppd)" -O /etc/ppp/options.isp
	EOF
}

addressed() { equal addresses "$(ip addr show wan-ppp | grep -c peer)" 2; }

# dial LOWER: starts the router's session over device LOWER, with routes to the networks behind it
dial()
{
	mkdir -p /etc/ppp
	(umask 077 && echo 'lab isp secret *' >/etc/ppp/chap-secrets)
	rm -f "$SESSION_LOG"
	modprobe pppoe
	pppd plugin pppoe.so "nic-$1" ifname wan-ppp linkname lab user lab remotename isp noauth noipdefault \
		nodefaultroute +ipv6 mtu 1492 mru 1492 silent lcp-restart 1 lcp-echo-interval 1 \
		lcp-echo-failure $ECHO_FAILURES logfile "$SESSION_LOG" updetach || { cat "$SESSION_LOG"; return 1; }
	SESSION=$(sed -n 's/^PPP session is //p' "$SESSION_LOG")
	# pppd goes to the background as soon as IPCP or IPV6CP is complete.
	wait_for 5 addressed || return 1
	FAR4=$(ip -o -4 addr show wan-ppp | sed -nE 's/.* inet ([0-9.]+).*/\1/p')
	ip route replace "$ISP_HOST4" dev wan-ppp && ip -6 route replace "$ISP_HOST6" dev wan-ppp
}

# hang_up: the router's pppd ends the session as the protocol says
hang_up()
{
	[ -e "$SESSION_PID" ] || return 0
	kill "$(head -n 1 "$SESSION_PID")" && wait_for 5 not test -e "$SESSION_PID"
}

# set_up LAN_TAGS WAN_TAGS: - is no tag. HERE and THERE become the hosts' addresses, NEAR and FAR
# the router's addresses in their networks, each with 4 or 6 behind the name.
set_up()
{
	local gateway4 gateway6 mtu=
	HERE4=$LAN_HOST4 HERE6=$LAN_HOST6 NEAR4=$LAN_ROUTER4 NEAR6=$LAN_ROUTER6
	THERE4=$WAN_HOST4 THERE6=$WAN_HOST6 FAR4=$WAN_ROUTER4 FAR6=$WAN_ROUTER6
	if [ "$1" != - ]; then
		tagged lan "$1" || return 1
		HERE4=198.51.100.2 HERE6=2001:db8:a::2 NEAR4=198.51.100.1 NEAR6=2001:db8:a::1
	fi
	if [ "$2" != - ]; then
		tagged wan "$2" || return 1
		THERE4=198.51.100.130 THERE6=2001:db8:b::2
		[ "$SESSION" ] || FAR4=198.51.100.129 FAR6=2001:db8:b::1
	fi
	gateway4=$FAR4 gateway6=$FAR6
	if [ "$SESSION" ]; then
		gateway4=$ISP_CORE4 gateway6=$ISP_CORE6 mtu='mtu 1492'
		wan ip route replace 100.64.0.0/24 via "$gateway4"
	fi
	lan sh -c "ip route replace $THERE4 via $NEAR4 $mtu; ip -6 route replace $THERE6 via $NEAR6 $mtu" &&
		wan sh -c "ip route replace $HERE4 via $gateway4; ip -6 route replace $HERE6 via $gateway6" || return 1
	reached
}

# reached: the hosts reach each other; the provider's routes may come a moment after the session
reached() { wait_for 5 lan ping -c 1 -W 1 "$THERE4" && wait_for 5 lan ping -c 1 -W 1 "$THERE6"; }

tear_down()
{
	nft delete table inet fw4
	lan sh -c "ip route del $THERE4; ip -6 route del $THERE6"
	wan sh -c "ip route del $HERE4; ip -6 route del $HERE6"
	[ "$1" = - ] || { peer unplug "lan.$1" && ip link del "lan.${1%%.*}"; }
	if [ "$SESSION" ]; then
		hang_up
		SESSION=
		isp sh -c 'killall pppoe-server pppd; ip -br link show type vlan | sed "s/[@ ].*//" | xargs -rn 1 ip link del'
		ip -br link show type vlan | sed 's/[@ ].*//' | xargs -rn 1 ip link del
	elif [ "$2" != - ]; then
		peer unplug "wan.$2" && ip link del "wan.${2%%.*}"
	fi
}

# counted PROTO TO DPORT "FILTER…" "FILTER…": for a flow in hardware conntrack has counted what the
# hosts put on the wires, in IP bytes, without the headers before them
counted()
{
	conntrack -F >/dev/null 2>&1
	peer capture && peer open f "$1" lan "$2" "$3" && offloaded f "" && peer send f both 200 300 &&
		exact "$1" "dport=$3" lan "$4" wan "$5" && peer close f
}

# with_tags LAN_TAGS WAN_TAGS FLOW…: FLOW is proto and family, n for NAT, and x to check the
# counters too, which is one point more
with_tags()
{
	local near=$1 far=$2 what flow proto family dport=5300 here there seen lan_tags wan_tags up down
	shift 2
	check "lan $near, wan $far: the hosts reach each other" set_up "$near" "$far"
	lan_tags=$(tag_filter "$near") wan_tags=$(tag_filter "$far")
	for flow; do
		proto=${flow:0:3} family=${flow:3:1}
		here=HERE$family there=THERE$family seen=$here MASQ=
		case ${flow:4} in n*) seen=FAR$family MASQ=1 ;; esac
		dport=$((dport + 1))
		what="lan $near, wan $far, $proto over IPv$family${MASQ:+ with NAT}"
		like_software "$what" "$proto" lan wan "${!there}" $dport \
			"$lan_tags src=${!here} dst=${!there} dport=$dport" "$wan_tags src=${!seen} dst=${!there} dport=$dport" \
			"$wan_tags src=${!there} dst=${!seen} sport=$dport" "$lan_tags src=${!there} dst=${!here} sport=$dport" \
			sport=$((dport + 10000))
		case $flow in *x) ;; *) continue ;; esac
		dport=$((dport + 100))
		up="proto=$proto $lan_tags src=${!here} dst=${!there} dport=$dport"
		down="proto=$proto $wan_tags src=${!there} dst=${!seen} sport=$dport"
		check_counts "$what: counted to the byte" counted "$proto" "${!there}" "$dport" "$up" "$down"
	done
	tear_down "$near" "$far" >/dev/null 2>&1
}
