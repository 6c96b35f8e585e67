# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# A switch behind the lan, whose ports are devices of the router (DSA), and hosts behind these
# ports. For dsa.sh and dsa_ports.sh, which read lib.sh.
# shellcheck disable=SC2154 # lib.sh has set it
. "$here/software.sh"

SWITCH=/root/nft_offload_switch.ko

# begin_dsa POINTS: begins, or skips the test if the kernel has no DSA
begin_dsa()
{
	modinfo tag_mtk >/dev/null 2>&1 || skip_test "ports of switches: this kernel has no CONFIG_NET_DSA"
	begin "$1"
	[ -e "$SWITCH" ] || ktap_exit_fail_msg "no nft_offload_switch.ko: build it with 'scripts/module switch'"
}

# Hosts behind port 0, behind port 4, and behind port 4 with a VLAN tag.
ZERO_MAC=02:00:00:00:03:00 FOUR_MAC=02:00:00:00:03:04 TAGGED_MAC=02:00:00:00:03:0a
ZERO4=198.51.100.2 FOUR4=198.51.100.66 TAGGED4=198.51.100.130
ZERO6=2001:db8:a::2 FOUR6=2001:db8:b::2 TAGGED6=2001:db8:c::2
export DEVICES='"lan0", "lan4", "wan"'

# host NAME DEVICE MAC TAGS IPV4 IPV6: a host with the two addresses behind the router's DEVICE,
# which gets the addresses just below them.
host()
{
	local near4=${5%.*}.$((${5##*.} - 1)) near6=${6%::2}::1
	ip addr add "$near4/26" dev "$2" && ip addr add "$near6/64" dev "$2" nodad &&
		peer station lan "$1" "$3" "$4" "$5/26" "$6/64" &&
		hosts ip -n "$1" route add default via "$near4" &&
		hosts ip -n "$1" -6 route add default via "$near6" &&
		wait_for 5 hosts nsenter --net="/run/netns/$1" ping -c 1 -W 1 "$WAN_HOST4" &&
		wait_for 5 hosts nsenter --net="/run/netns/$1" ping -c 1 -W 1 "$WAN_HOST6"
}

# plug TAG: a switch with tags of that kind, and its ports up
plug()
{
	local port
	modprobe -a dsa_core "tag_$1" && insmod "$SWITCH" conduit=lan tag="$1" || return 1
	for port in lan0 lan4; do
		ethtool -K $port gso off tso off gro off tx off rx off >/dev/null 2>&1
		ip link set $port up || return 1
	done
	# The kernel checks the link once a second.
	wait_for 5 carrier lan0 && wait_for 5 carrier lan4
}

# quiet: no frame comes to the router: no report of a new host about its groups, and no answer of a
# new neighbour, which the kernel asks again after 5 s
quiet()
{
	local before
	before=$(router_rx)
	usleep 5500000
	equal "frames that came" $(($(router_rx) - before)) 0
}

# plugged: a switch with MediaTek's tags, and the hosts
plugged()
{
	plug mtk || return 1
	ip link add link lan4 name lan4.10 type vlan id 10 && ip link set lan4.10 up &&
		host zero lan0 $ZERO_MAC s0 $ZERO4 $ZERO6 &&
		host four lan4 $FOUR_MAC s4 $FOUR4 $FOUR6 &&
		host tagged lan4.10 $TAGGED_MAC s4.10 $TAGGED4 $TAGGED6 && wait_for 6 quiet
}

carrier() { [ "$(cat "/sys/class/net/$1/carrier")" = 1 ]; }

# shows NUMBER DEVICE LINK [TAG]: status shows a port like that (tag 9: DSA_TAG_PROTO_MTK)
shows()
{
	grep port "$ENGINE/status"
	grep -q "^port $1: $2 $3 dsa-tag=${4-9}$" "$ENGINE/status"
}

knows_ports() { shows "1\.0" lan0 up && shows "1\.4" lan4 up; }

# unplug HOST…: the switch and these hosts go
unplug()
{
	local host
	for host; do peer unplug "$host" || return 1; done
	rmmod nft_offload_switch
}

# The special tags of frames from and to port 0, and so on. To the switch the tag has a set of
# ports, and says whether it is a VLAN tag as well; from the switch the VLAN tag is separate.
zero_out="special=0000 vlan=None" zero_in="special=0001 vlan=None dmac=$ZERO_MAC smac=$LAN_PORT_MAC"
four_out="special=0004 vlan=None" four_in="special=0010 vlan=None dmac=$FOUR_MAC smac=$LAN_PORT_MAC"
tagged_out="special=0004 vlan=10" tagged_in="special=0110 vlan=10 dmac=$TAGGED_MAC smac=$LAN_PORT_MAC"
wan_out="special=None vlan=None" wan_in="special=None vlan=None"
