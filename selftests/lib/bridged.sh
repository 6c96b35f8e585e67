# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A bridge over lan and wan in the router, hosts in one subnet, and filters of tc's flower for their
# Ethernet addresses. For bridge.sh, bridge_vlan.sh and shaped.sh, which read lib.sh.
. "$here/software.sh"

# These addresses differ in many bits. With others the engine's hash often puts both directions of a
# connection into one bucket, and some buckets of MT7621 have room for one flow only.
# shellcheck disable=SC2034 # used by the tests
HERE4=198.18.1.2 THERE4=198.19.254.253
HERE6=2001:db8:a:0:1b2d:3e4f:5a6b:7c8d THERE6=2001:db8:a:0:c29a:81f0:e4d3:b6a7
TO_LAN='action mirred egress redirect dev lan'
TO_WAN='action mirred egress redirect dev wan'

bridge_works() { wait_for 5 lan ping -c 1 -W 1 $THERE4 && wait_for 5 lan ping -c 1 -W 1 $THERE6; }

# host PORT TAG: a host at that port, - is no tag: its addresses, and the other host as its
# neighbour, so that only the test's frames are between them
host()
{
	local here4=$HERE4 here6=$HERE6 there4=$THERE4 there6=$THERE6 mac=$WAN_HOST_MAC dev=eth0.$2
	[ "$1" = lan ] || here4=$THERE4 here6=$THERE6 there4=$HERE4 there6=$HERE6 mac=$LAN_HOST_MAC
	if [ "$2" = - ]; then
		dev=eth0
		"$1" sh -c "ip addr add $here4/15 dev eth0; ip addr add $here6/64 dev eth0 nodad"
	else
		peer vlan "$1" "$2" "$here4/15" "$here6/64" || return 1
	fi
	"$1" sh -c "ip neigh replace $there4 lladdr $mac dev $dev; ip neigh replace $there6 lladdr $mac dev $dev"
}

no_host()
{
	local here4=$HERE4 here6=$HERE6
	[ "$1" = lan ] || here4=$THERE4 here6=$THERE6
	if [ "$2" = - ]; then
		"$1" sh -c "ip addr del $here4/15 dev eth0; ip addr del $here6/64 dev eth0"
	else
		peer unplug "$1.$2"
	fi
}

# bridge_up [alone]: the bridge, and hosts without tags unless it is alone
bridge_up()
{
	modprobe -a bridge sch_ingress cls_flower act_mirred act_vlan 8021q
	ip link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0 &&
		ip link set lan master br0 && ip link set wan master br0 && ip link set br0 up || return 1
	[ "${1-}" = alone ] || { host lan - && host wan - && bridge_works; }
}

# no_bridge: the hosts forget their neighbours, too. A host that asked for an address of the router
# meanwhile got the bridge's Ethernet address, and the other port drops frames to that.
no_bridge()
{
	ip link del br0
	lan sh -c "ip neigh flush dev eth0 nud permanent; ip neigh flush dev eth0"
	wan sh -c "ip neigh flush dev eth0 nud permanent; ip neigh flush dev eth0"
}

bridge_down()
{
	no_host lan -
	no_host wan -
	no_bridge
	# A port that was down has lost this address.
	ip -6 addr replace "$WAN_ROUTER6/64" dev wan
}

# rules [LAN_TAG WAN_TAG [LAN_ACTION WAN_ACTION]]: filters for both directions, - is no tag
rules() { by_tc "" "$@" && in_hw lan && in_hw wan; }

# by_tc FLAG…: the same, with a flag for flower, such as skip_hw
# shellcheck disable=SC2046,SC2086 # words
by_tc()
{
	tc qdisc add dev lan clsact && tc qdisc add dev wan clsact &&
		tc filter add dev lan ingress prio 1 handle 1 $(with_tag "${2--}") $1 \
			dst_mac "$WAN_HOST_MAC" src_mac "$LAN_HOST_MAC" ${4-} $TO_WAN &&
		tc filter add dev wan ingress prio 1 handle 1 $(with_tag "${3--}") $1 \
			dst_mac "$LAN_HOST_MAC" src_mac "$WAN_HOST_MAC" ${5-} $TO_LAN
}

with_tag()
{
	if [ "$1" = - ]; then
		echo protocol all flower
	else
		echo protocol 802.1Q flower vlan_id "$1"
	fi
}

in_hw()
{
	tc filter show dev "$1" ingress
	tc filter show dev "$1" ingress | grep -qw in_hw
}

no_rules()
{
	tc qdisc del dev lan clsact 2>/dev/null
	tc qdisc del dev wan clsact 2>/dev/null
	true
}

rules_are() { equal "rules" "$(grep -c '^port' "$ENGINE/bridge")" "$1"; }

# looked_at COUNT: the module looks at the frames of so many ports
looked_at()
{
	cat /proc/net/ptype
	equal "ports that are looked at" "$(grep -cE '^ALL +(lan|wan) ' /proc/net/ptype)" "$1"
}

# refused REASON PORT WORDS…: the module refuses this filter, and software executes it
refused()
{
	local reason=$1 port=$2 before said
	shift 2
	before=$(reject_of "$reason")
	said=$(tc filter add dev "$port" ingress prio 9 "$@" 2>&1)
	echo "$said"
	tc filter show dev "$port" ingress prio 9 | grep -qw not_in_hw && echo "$said" | grep -q "$reason: The " &&
		equal "rules refused as $reason" "$(reject_of "$reason")" $((before + 1)) &&
		tc filter del dev "$port" ingress prio 9
}

# busy FLOW COUNT: sends until so many entries are bound
busy()
{
	local n
	for n in 1 2 3 4 5; do
		peer send "$1" both 60 100 gap=1 || return 1
		wait_for 1 bound_is "$2" >/dev/null && engine_bound_is "$2" && return 0
	done
	echo "not bound after $n tries:"
	cat "$ENGINE/bind" "$ENGINE/bridge"
	awk '$2 != 0' "$ENGINE/rejects" "$ENGINE/stats"
	return 1
}

# tc_counts PORT: packets and bytes of all its filters
tc_counts()
{
	tc -s filter show dev "$1" ingress | awk '/^[ \t]*Sent [0-9]/ { bytes += $2; packets += $4 } END { print packets + 0, bytes + 0 }'
}

# counts_are FROM TO: tc has counted all frames between the hosts since the filters came
counts_are()
{
	local from=${1^^}_HOST_MAC to=${2^^}_HOST_MAC
	tc -s filter show dev "$1" ingress
	peer count "$1" out "smac=${!from}" "dmac=${!to}" || return 1
	equal "packets and bytes" "$(tc_counts "$1")" "$(field frames) $(field bytes)"
}

# How many points bridged makes.
# shellcheck disable=SC2034
BRIDGED_POINTS=7

# bridged WHAT PROTO FAMILY DPORT [UP_OUT UP_IN DOWN_OUT DOWN_IN [RULES_ARG…]]
#
# A connection goes by the software bridge (if SOFTWARE is tc, by filters in software), and then by
# filters in hardware: both have to change the headers in the same way.
bridged()
{
	local what=$1 proto=$2 here=HERE$3 there=THERE$3 dport=$4 UP DOWN
	local up_out="proto=$2 src=${!here} dport=$4 ${5-}" up_in="proto=$2 src=${!here} dport=$4 ${6-}"
	local down_out="proto=$2 src=${!there} sport=$4 ${7-}" down_in="proto=$2 src=${!there} sport=$4 ${8-}"
	shift $(($# < 8 ? $# : 8))

	by_software()
	{
		[ "${SOFTWARE-}" != tc ] || by_tc skip_hw "$@" || return 1
		peer capture && peer open f "$proto" lan "${!there}" "$dport" && peer send f both 60 150 gap=1 &&
			both_changed lan wan "$up_out" "$up_in" "$down_out" "$down_in" && peer close f && no_rules
	}
	check "$what: forwarded by software" by_software "$@"
	note "up: $UP"
	note "down: $DOWN"
	check "$what: the module takes the filters" rules "$@"
	check "$what: both directions are bound" eval "peer open f $proto lan ${!there} $dport && busy f 2"
	check "$what: under 1 % of the frames reach the router" few_reach_router f 400
	check_changes "$what" lan wan "$up_out" "$up_in" "$down_out" "$down_in"
	check "$what: nothing stays bound without filters" eval 'no_rules; none_bound'
	peer close f >"$OUT"
}
