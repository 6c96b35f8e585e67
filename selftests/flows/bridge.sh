#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Two hosts at the two ports of a bridge, and filters of tc's flower for their Ethernet
# addresses: hardware forwards the hosts' frames as the bridge does, as long as there is a
# filter.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/bridged.sh"
begin $((2 + 5 + 4 * BRIDGED_POINTS + 4 + 4 + 4 + 3 + 3 + 4 + 3 + 5 + 2))

check "the hosts reach each other by the bridge" bridge_up
check "the module looks at no port" looked_at 0

check "the module takes the filters" rules
check "the module looks at the frames of both ports" looked_at 2
check "debugfs has the filters" rules_are 2
# shellcheck disable=SC2086 # words
check "a filter for a part of an address is refused, and tc shows the reason" refused mask \
	lan flower verbose dst_mac "$WAN_HOST_MAC/ff:ff:ff:00:00:00" src_mac "$LAN_HOST_MAC" $TO_WAN
# shellcheck disable=SC2086 # words
check "a filter for IP addresses is refused" refused not-bridged lan protocol ip \
	flower verbose dst_mac "$WAN_HOST_MAC" src_mac "$LAN_HOST_MAC" dst_ip $THERE4 $TO_WAN
no_rules

dport=5500
for proto in udp tcp; do
	for family in 4 6; do
		dport=$((dport + 1))
		bridged "$proto over IPv$family" $proto $family $dport
	done
done

# Counters of a filter that has more than one connection.
counted()
{
	peer capture && rules && peer open f udp lan $THERE4 5510 && peer open g tcp lan $THERE6 5511 &&
		busy f 2 && busy g 4 && peer send f both 300 150 && peer send g both 300 150
}
check "two connections of a filter are bound" counted
check_counts "tc counts what the lan host sent, to the byte" counts_are lan wan
check_counts "tc counts what the wan host sent, to the byte" counts_are wan lan
check_counts "hardware counted most of it" sh -c \
	"tc -s filter show dev lan ingress | awk '/Sent hardware/ { n = \$5 } END { print n; exit !(n > 500) }'"

check "a deleted filter takes its entries with it" eval \
	'tc filter del dev lan ingress && bound_is 2 && engine_bound_is 2'
check "frames still arrive" peer send f both 20 100
check "a deleted qdisc takes its entries with it" eval 'tc qdisc del dev wan clsact && none_bound && looked_at 0'
check "frames still arrive without it" peer send f both 20 100
no_rules

again() { rules && busy f 2; }
check "connections are bound when there are filters again" again
down_and_up()
{
	ip link set wan down && none_bound && rules_are 2 &&
		equal "subflows" "$(stat_of subflows_now)" 0 && ip link set wan up && bridge_works
}
check "a port that goes down takes the entries with it, not the filters" down_and_up
check "the entries come back with the port" busy f 2

# --- pause and policy ---------------------------------------------------------------------
put() { echo "${*:2}" >"$ENGINE/$1"; }
# kept_out REASON: traffic of the connection over IPv4 goes by software, for that reason
kept_out()
{
	local before
	before=$(reject_of "$1")
	wait_for 5 refused_again "$1" "$before" && none_bound
}
refused_again() { peer send f both 20 100 gap=2 && [ "$(reject_of "$1")" -gt "$2" ]; }
check "pause keeps new connections in software" eval 'put pause 1 && put flush all && kept_out paused'
check "when the pause ends they are bound" eval 'put pause 0 && busy f 2'
check "a family that is switched off leaves hardware at once" eval 'put policy ipv4 0 && bound_is 0 && kept_out family-off'
check "when it is switched on the connection is bound again" eval 'put policy ipv4 1 && busy f 2'

# The new filter counts, whatever was bound before.
replaced()
{
	tc filter replace dev lan ingress prio 1 handle 1 protocol all flower \
		dst_mac "$WAN_HOST_MAC" src_mac "$LAN_HOST_MAC" action vlan push id 30 pipe action mirred egress redirect dev wan &&
		rules_are 2 && bound_is 1
}
check "another filter for the same frames replaces a filter" replaced
tagged_now()
{
	peer capture && peer stream f up 100 100 && wait_for 5 bound_is 2 && peer halt f
	[ "$(frames wan in vlan=30 "dport=5510")" -gt 30 ] && equal "frames without the new tag" "$(frames wan in vlan=None dport=5510)" 0
}
check "the frames are as the new filter says" tagged_now
no_rules
check "nothing is bound without filters" eval 'bound_is 0 && rules_are 0'
check "the kernel does not allow skip_sw for devices whose driver has no offload of its own" not \
	eval "tc qdisc add dev lan clsact; tc filter add dev lan ingress flower skip_sw dst_mac $WAN_HOST_MAC src_mac $LAN_HOST_MAC $TO_WAN"
no_rules

# RED has a block of filters for the packets that it drops. That can be the block of the port's
# ingress side.
red()
{
	modprobe sch_red
	tc qdisc add dev lan ingress_block 7 clsact && tc qdisc add dev wan clsact &&
		tc qdisc add dev lan root handle 1: red limit 500000 avpkt 1000 qevent early_drop block 7
}
# shellcheck disable=SC2086 # words
shared()
{
	tc filter add block 7 prio 1 handle 1 protocol all flower dst_mac "$WAN_HOST_MAC" src_mac "$LAN_HOST_MAC" $TO_WAN &&
		tc filter add dev wan ingress prio 1 handle 1 protocol all flower dst_mac "$LAN_HOST_MAC" src_mac "$WAN_HOST_MAC" $TO_LAN &&
		rules_are 2 && busy f 2
}
check "a port shares its block with RED" red
check "filters of the shared block are in hardware" shared
check "RED goes, and the filters of the port stay in hardware" eval \
	'tc qdisc del dev lan root && rules_are 2 && bound_is 2 && peer send f both 20 100'
no_rules

check "a connection is bound" eval 'peer capture && again && peer send f both 200 150'
check "it ends when it was idle" wait_for 50 bound_is 0
check_counts "no count of it is lost" counts_are lan wan

# Frames to a group are for more than one host, so the bridge has to see each of them.
# shellcheck disable=SC2086 # words
check "a filter for a group is refused" refused multicast \
	lan flower verbose dst_mac 01:00:5e:01:02:03 src_mac "$LAN_HOST_MAC" $TO_WAN
to_group()
{
	peer capture && lan python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
for n in range(200): s.sendto(b"%200d" % n, ("239.1.2.3", 5520))' $HERE4 || return 1
	wait_for 3 arrived && bound_is 0 :5520
}
arrived()
{
	equal "frames to the group" "$(frames wan in dst=239.1.2.3 dport=5520 dmac=01:00:5e:01:02:03 csum=ok)" 200
}
check "frames to a group pass, each once" to_group

check "the connection is bound again" busy f 2
unloaded() { rmmod nft_offload && engine_bound_is 0 && looked_at 0 && peer send f both 20 100; }
check "an unloaded module leaves nothing bound" unloaded
check "the module does not take filters that were there first" eval 'load && rules_are 0 && log_has 1 "rules of tc were there first"'
no_rules
check "it takes new filters" again
check "a deleted qdisc at each port takes their entries with it" eval 'tc qdisc del dev lan clsact; tc qdisc del dev wan clsact; bound_is 0'
peer close f >"$OUT"
peer close g >"$OUT"
bridge_down
finish
