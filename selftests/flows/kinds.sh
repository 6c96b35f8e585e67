#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# chips: all
# Every kind of flow, all at once. Each flow is sent by the kernel's software path and then by
# hardware; hardware has to change the frames in the same way, field by field.
. "$(dirname "$0")/../lib/lib.sh"

FRAMES=24	# each way of each flow
LAN2_MAC=02:00:00:00:02:03

# --- networks --------------------------------------------------------------------------

# What is on the wire between a port and its host: - is plain Ethernet, 10.11 are two
# VLAN tags, the outer one first, and a last p7 is a PPPoE session.

SESSIONS=()	# processes that keep PPPoE sessions
declare -A HAVE=()	# the router's device by port/encap

# encap PORT ENCAP: both ends; UPPER is the router's device
encap()
{
	local port=$1 tag lower=$1 host=${1^^}_HOST_MAC
	for tag in ${2//./ }; do
		if [ "${tag#p}" = "$tag" ]; then
			UPPER=$lower.$tag
			[ -e "/sys/class/net/$UPPER" ] ||
				ip link add link "$lower" name "$UPPER" type vlan id "$tag" || return 1
		else
			UPPER=$port-$tag
			modprobe -a pppoe ppp_generic || return 1
			labagent pppoe "$lower" "${tag#p}" "${!host}" &
			SESSIONS+=($!)
			wait_for 2 ip link set ppp$((${#SESSIONS[@]} - 1)) name "$UPPER" mtu 1492 || return 1
		fi
		ip link set "$UPPER" up || return 1
		lower=$UPPER
	done
	peer vlan "$port" "$2"
}

# side PORT ENCAP NET4 NET6 OTHER4 OTHER6: the router is .1 and ::1 in its networks, the
# host is .2 and ::2
side()
{
	local port=$1 dev=eth0 UPPER=$1 mac=${1^^}_PORT_MAC commands
	if [ "$2" != - ]; then
		dev=eth0.$2
		[ "${HAVE[$1/$2]-}" ] || encap "$1" "$2" || return 1
		UPPER=${HAVE[$1/$2]:=$UPPER}
	fi
	ip addr add "$3.1/24" dev "$UPPER" && ip addr add "$4::1/64" dev "$UPPER" nodad || return 1
	commands="ip addr add $3.2/24 dev $dev && ip addr add $4::2/64 dev $dev nodad &&
		ip route add $5.0/24 via $3.1 src $3.2 && ip route add $6::/64 via $4::1 src $4::2"
	# Nobody asks for addresses in a PPPoE session; in the hosts it is Ethernet.
	[ "$2" = "${2%p*}" ] || commands+=" && ip neigh replace $3.1 lladdr ${!mac} dev $dev &&
		ip neigh replace $4::1 lladdr ${!mac} dev $dev"
	"$port" sh -c "$commands"
}

# network NUMBER LAN_ENCAP WAN_ENCAP: a lan and a wan of their own
network()
{
	local lan4=198.18.$1 lan6=2001:db8:18:$1 wan4=198.19.$1 wan6=2001:db8:19:$1
	side lan "$2" "$lan4" "$lan6" "$wan4" "$wan6" && side wan "$3" "$wan4" "$wan6" "$lan4" "$lan6" &&
		lan sh -c "ping -c 1 -w 5 $wan4.2 && ping -c 1 -w 5 $wan6::2"
}

second_lan()
{
	# The router must not tell the hosts that there is a path without it.
	sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.lan.send_redirects=0 &&
		hosts nsenter --net=/run/netns/lan sysctl -qw net.ipv6.conf.eth0.accept_redirects=0 &&
		ip addr add 198.51.100.1/24 dev lan && ip addr add 2001:db8:a::1/64 dev lan nodad &&
		peer station lan lan2 $LAN2_MAC 198.51.100.2/24 2001:db8:a::2/64 &&
		hosts ip -n lan2 route add default via 198.51.100.1 &&
		hosts ip -n lan2 -6 route add default via 2001:db8:a::1 &&
		lan ping -c 1 -w 5 198.51.100.2 && lan ping -c 1 -w 5 2001:db8:a::2
}

# neighbours MS: no host asks for a neighbour again for so long
neighbours()
{
	local set="for f in /proc/sys/net/ipv[46]/neigh/*/base_reachable_time_ms; do echo $1 >\$f; done"
	sh -c "$set" && lan sh -c "$set" && wan sh -c "$set"
}

clean_up()
{
	local key dev flush
	nft flush ruleset
	for key in "${!HAVE[@]}"; do
		peer unplug "${key/\//.}"
	done
	peer unplug lan2
	[ ${#SESSIONS[@]} = 0 ] || kill "${SESSIONS[@]}"
	for dev in lan.10 wan.20 wan.21; do
		ip link del $dev
	done
	for dev in lan wan; do
		flush=$(printf 'ip addr flush dev DEV to %s; ' 198.18.0.0/15 198.51.100.0/24 \
			2001:db8:18::/48 2001:db8:19::/48 2001:db8:a::/64)
		sh -c "${flush//DEV/$dev}"
		$dev sh -c "${flush//DEV/eth0}"
	done
	sysctl -qw net.ipv4.conf.all.send_redirects=1 net.ipv4.conf.lan.send_redirects=1
	neighbours 30000
}

# --- flows -----------------------------------------------------------------------------

FLOWS=()	# their names; of each:
declare -A OPEN	# how to open it
declare -A WAY	# the hosts at which its frames are compared
declare -A UP_OUT UP_IN DOWN_OUT DOWN_IN	# filters of traffic.py for them
declare -A UP DOWN	# what the software path changed

# flow NAME "PROTO FROM DST DPORT [OPTION…]" "HOST HOST" UP_OUT UP_IN DOWN_OUT DOWN_IN
flow()
{
	local proto=${2%% *}
	FLOWS+=("$1")
	OPEN[$1]=$2 WAY[$1]=$3
	UP_OUT[$1]="proto=$proto $4" UP_IN[$1]="proto=$proto $5"
	DOWN_OUT[$1]="proto=$proto $6" DOWN_IN[$1]="proto=$proto $7"
}

PORT=4000	# the last one that is in use
HIDDEN=		# ports of flows whose source address the router changes
# far N: a port far from far N + 1. The engine's hash puts tuples that differ in few bits into
# few buckets. With these ports no three flows share a bucket, and all flows find a slot.
far() { echo $((10000 + $1 * 118 % 50021)); }

# across NUMBER LAN_ENCAP WAN_ENCAP KIND…: flows from lan to wan; KIND is protocol and
# family, and n if the router changes the source address
across()
{
	local n=$1 lan wan kind proto family here there seen name
	lan=$(tag_filter "$2") wan=$(tag_filter "$3")
	for kind in "${@:4}"; do
		PORT=$((PORT + 1)) proto=${kind:0:3} family=${kind:3:1}
		here=198.18.$n.2 there=198.19.$n.2 seen=198.19.$n.1
		[ "$family" = 4 ] || here=2001:db8:18:$n::2 there=2001:db8:19:$n::2
		name="lan $2, wan $3, $proto over IPv$family"
		if [ "${kind:4}" = n ]; then
			name+=", source address changed"
			HIDDEN+=", $PORT"
		else
			seen=$here
		fi
		flow "$name" "$proto lan $there $PORT sport=$(far $PORT)" "lan wan" \
			"$lan src=$here dst=$there dport=$PORT" "$wan src=$seen dst=$there dport=$PORT" \
			"$wan src=$there dst=$seen sport=$PORT" "$lan src=$there dst=$here sport=$PORT"
	done
}

# --- by software, by hardware ------------------------------------------------------------

# each COMMAND: for all flows, by their names, with ID
each()
{
	local name ID=0
	for name in "${FLOWS[@]}"; do
		ID=$((ID + 1))
		"$1" "$name" || return 1
	done
}

# begin_flow NAME: open, and both sides have spoken
begin_flow()
{
	# shellcheck disable=SC2086 # words
	peer open f$ID ${OPEN[$1]} && peer send f$ID both 1 100
}

end_flow() { peer close f$ID; }

# sent NAME [GAP]: its frames, each way. All flows send before the first is compared, or some
# would end while they wait.
sent()
{
	# shellcheck disable=SC2086 # nothing, or a word
	peer send f$ID both $FRAMES 150 ${2-}
}

sent_slowly()
{
	# The CPU takes frames more slowly.
	sent "$1" gap=1
}

# changed NAME: what became of its frames, from the first one on
changed()
{
	local from=${WAY[$1]% *} to=${WAY[$1]#* }
	# shellcheck disable=SC2086 # words
	peer changes "$from" "$to" ${UP_OUT[$1]} to ${UP_IN[$1]} && GOT_UP=$(field changes) || return 1
	# shellcheck disable=SC2086 # words
	peer changes "$to" "$from" ${DOWN_OUT[$1]} to ${DOWN_IN[$1]} && GOT_DOWN=$(field changes)
}

by_software() { changed "$1" && UP[$1]=$GOT_UP DOWN[$1]=$GOT_DOWN; }

by_hardware()
{
	changed "$1" || return 1
	equal "what changed on the way there" "$GOT_UP" "${UP[$1]}" &&
		equal "and on the way back" "$GOT_DOWN" "${DOWN[$1]}"
}

in_conntrack() { equal "flows with $1" "$(conntrack -L 2>/dev/null | grep -cF "$1")" ${#FLOWS[@]}; }

all_bound()
{
	wait_for 5 bound_is $((2 * ${#FLOWS[@]})) && return
	awk '$2 != 0' "$ENGINE/rejects" "$ENGINE/stats"
	cat "$ENGINE/bind"
	return 1
}

few_seen()
{
	local seen=$(($(router_rx) - RX_BEFORE)) sent=$((2 * FRAMES * ${#FLOWS[@]}))
	echo "$seen of at least $sent frames reached the router"
	[ $((seen * 100)) -lt $sent ]
}

# counted NAME: conntrack has what was on the wires
counted()
{
	local up=${WAY[$1]% *} down=${WAY[$1]#* } words wire counts
	read -ra words <<<"${OPEN[$1]}"
	# shellcheck disable=SC2086 # words
	peer count "$up" out ${UP_OUT[$1]} && wire="$(field frames) $(field bytes)" || return 1
	# shellcheck disable=SC2086 # words
	peer count "$down" out ${DOWN_OUT[$1]} && wire+=" $(field frames) $(field bytes)" || return 1
	counts=$(sed -nE "/src=.* dst=${words[2]} .*dport=${words[3]} /s/$COUNTS/\\1 \\2 \\3 \\4/p" /tmp/conntrack | head -n 1)
	equal "$1" "$counts" "$wire"
}
COUNTS='.*packets=([0-9]+) bytes=([0-9]+).*packets=([0-9]+) bytes=([0-9]+).*'

all_counted()
{
	conntrack -L >/tmp/conntrack 2>/dev/null
	each counted
}

# --- the kinds -----------------------------------------------------------------------------

NETWORKS=("1 - -" "2 10 -" "3 - 20" "4 10 20" "5 10.11 -" "6 - 20.21" "7 10.11 20.21"
	"8 - p7" "9 - 21.p4660" "10 10 p7" "11 10.11 p7")
across 1 - - udp4 tcp4 udp6 tcp6 udp4n tcp4n
across 2 10 - udp4n tcp6
across 3 - 20 udp4n tcp6
across 4 10 20 tcp4n udp6
across 5 10.11 - udp4 udp6
across 6 - 20.21 udp4n udp6
across 7 10.11 20.21 tcp4n udp6
across 8 - p7 udp4n tcp6
across 9 - 21.p4660 tcp4n udp6
across 10 10 p7 udp4 udp6
across 11 10.11 p7 udp4n tcp6

here=198.18.1.2 there=198.19.1.2 router=198.19.1.1
flow "source address and port changed" "udp lan $there 5001 sport=$(far 5001)" "lan wan" \
	"src=$here sport=$(far 5001)" "src=$router sport=$(far 6001) dport=5001" "dst=$router dport=$(far 6001)" "dst=$here dport=$(far 5001)"
flow "source port changed" "tcp lan $there 5002 sport=$(far 5002)" "lan wan" \
	"src=$here sport=$(far 5002)" "src=$here sport=$(far 6002) dport=5002" "dst=$here dport=$(far 6002)" "dst=$here dport=$(far 5002)"
flow "destination address and port changed" "tcp wan $router 5003 sport=$(far 5003) at=$here port=$(far 6003)" "wan lan" \
	"dst=$router dport=5003" "dst=$here dport=$(far 6003)" "src=$here sport=$(far 6003)" "src=$router sport=5003"
flow "destination address changed" "udp wan $router 5004 sport=$(far 5004) at=$here" "wan lan" \
	"dst=$router dport=5004" "dst=$here dport=5004" "src=$here sport=5004" "src=$router sport=5004"
flow "destination port changed" "udp wan $here 5005 sport=$(far 5005) port=$(far 6005)" "wan lan" \
	"dst=$here dport=5005" "dst=$here dport=$(far 6005)" "src=$here sport=$(far 6005)" "src=$here sport=5005"
flow "source and destination changed" "tcp lan 198.51.100.9 5006 sport=$(far 5006) at=$there port=$(far 6006)" "lan wan" \
	"src=$LAN_HOST4 dst=198.51.100.9 dport=5006" "src=$router dst=$there dport=$(far 6006)" \
	"src=$there dst=$router sport=$(far 6006)" "src=198.51.100.9 dst=$LAN_HOST4 sport=5006"
for there in 198.51.100.2 2001:db8:a::2; do
	flow "out by the port at which it came in, to $there" "udp lan $there 5007 sport=$(far 5007) to=lan2" "lan lan" \
		"dst=$there dport=5007 smac=$LAN_HOST_MAC" "dst=$there dport=5007 dmac=$LAN2_MAC" \
		"src=$there sport=5007 smac=$LAN2_MAC" "src=$there sport=5007 dmac=$LAN_HOST_MAC"
done

SNAT="meta nfproto ipv4 th dport { ${HIDDEN#, }, $(far 6006) } masquerade
	ip daddr 198.19.1.2 udp dport 5001 snat ip to 198.19.1.1:$(far 6001)
	ip daddr 198.19.1.2 tcp dport 5002 snat ip to 198.18.1.2:$(far 6002)"
DNAT="ip daddr 198.19.1.1 tcp dport 5003 dnat ip to 198.18.1.2:$(far 6003)
	ip daddr 198.19.1.1 udp dport 5004 dnat ip to 198.18.1.2
	ip daddr 198.18.1.2 udp dport 5005 dnat ip to 198.18.1.2:$(far 6005)
	ip daddr 198.51.100.9 tcp dport 5006 dnat ip to 198.19.1.2:$(far 6006)"

begin $((${#NETWORKS[@]} + 1 + 3 + 2 * ${#FLOWS[@]} + 9))
for words in "${NETWORKS[@]}"; do
	# shellcheck disable=SC2086 # words
	check "network $words" network $words
done
check "two subnets at the lan" second_lan
# From here on only frames of the flows reach the router.
neighbours 3600000
# Longer than the test lets a flow wait.
flowtable_timeout 30

check "the ruleset for software loads" ruleset software
peer capture >/dev/null
check "all flows begin" each begin_flow
check "all are in the software flowtable" in_conntrack '[OFFLOAD]'
check "all send" each sent_slowly
ID=0
for name in "${FLOWS[@]}"; do
	ID=$((ID + 1))
	check "$name: forwarded by software" by_software "$name"
	note "there: ${UP[$name]-}"
	note "back: ${DOWN[$name]-}"
done
each end_flow >/dev/null
nft delete table inet fw4
conntrack -F >/dev/null 2>&1

check "the ruleset for hardware loads" ruleset hardware
peer capture >/dev/null
check "all flows begin again" each begin_flow
check "all are bound, both ways" all_bound
check "conntrack shows all of them" in_conntrack '[HW_OFFLOAD]'
RX_BEFORE=$(router_rx)
check "all send again" each sent
check "under 1 % of the frames reached the router" few_seen
ID=0
for name in "${FLOWS[@]}"; do
	ID=$((ID + 1))
	check "$name: the same frames by hardware" by_hardware "$name"
done
nft delete table inet fw4
check "nothing stays bound without the table" engine_bound_is 0
check_counts "conntrack has each flow's packets and bytes exactly" all_counted
each end_flow >/dev/null
clean_up >/dev/null 2>&1
finish
