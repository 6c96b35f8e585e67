#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Hosts at the two ports of a bridge: with rules of tc's flower for their Ethernet
# addresses, hardware forwards their frames as the bridge does, and as long as there is a
# rule.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/bridged.sh"
begin $((2 + 5 + 4 * BRIDGED_POINTS + 4 + 4 + 4 + 3 + 4 + 3 + 5 + 2))

check "the hosts reach each other by the bridge" bridge_up
check "no frames are looked at" looked_at 0

check "rules are taken" rules
check "the frames of both ports are looked at" looked_at 2
check "debugfs has the rules" rules_are 2
# shellcheck disable=SC2086 # words
check "a rule of a part of an address is not taken, and the reason is said" refused mask \
	lan flower verbose dst_mac "$WAN_HOST_MAC/ff:ff:ff:00:00:00" src_mac "$LAN_HOST_MAC" $TO_WAN
# shellcheck disable=SC2086 # words
check "nor is one of IP addresses" refused not-bridged lan protocol ip \
	flower verbose dst_mac "$WAN_HOST_MAC" src_mac "$LAN_HOST_MAC" dst_ip $THERE4 $TO_WAN
no_rules

dport=5500
for proto in udp tcp; do
	for family in 4 6; do
		dport=$((dport + 1))
		bridged "$proto over IPv$family" $proto $family $dport
	done
done

# Counters, by a rule that is for more than one connection.
counted()
{
	peer capture && rules && peer open f udp lan $THERE4 5510 && peer open g tcp lan $THERE6 5511 &&
		busy f 2 && busy g 4 && peer send f both 300 150 && peer send g both 300 150
}
check "two connections of a rule are bound" counted
check_counts "tc counts what the lan host sent, to the byte" counts_are lan wan
check_counts "tc counts what the wan host sent, to the byte" counts_are wan lan
check_counts "most of it was counted by hardware" sh -c \
	"tc -s filter show dev lan ingress | awk '/Sent hardware/ { n = \$5 } END { print n; exit !(n > 500) }'"

check "a rule that is deleted takes its entries with it" eval \
	'tc filter del dev lan ingress && bound_is 2 && engine_bound_is 2'
check "frames still arrive" peer send f both 20 100
check "so does a qdisc" eval 'tc qdisc del dev wan clsact && bound_is 0 && engine_bound_is 0 && looked_at 0'
check "and still they arrive" peer send f both 20 100
no_rules

again() { rules && busy f 2; }
check "connections are bound when there are rules again" again
down_and_up()
{
	ip link set wan down && bound_is 0 && engine_bound_is 0 && rules_are 2 &&
		equal "subflows" "$(stat_of subflows_now)" 0 && ip link set wan up && bridge_works
}
check "a port that goes down takes the entries with it, and not the rules" down_and_up
check "they come back with the port" busy f 2

# --- pause and policy ---------------------------------------------------------------------
put()
{
	echo "${*:2}" >"$ENGINE/$1"
}
# kept_out REASON: traffic of the connection over IPv4 goes by software, for that
kept_out()
{
	local before
	before=$(reject_of "$1")
	wait_for 5 refused_again "$1" "$before" && bound_is 0 && engine_bound_is 0
}
refused_again()
{
	peer send f both 20 100 gap=2 && [ "$(reject_of "$1")" -gt "$2" ]
}
check "pause keeps new ones in software" eval 'put pause 1 && put flush all && kept_out paused'
check "until it ends" eval 'put pause 0 && busy f 2'
check "so does a family that is switched off, at once" eval 'put policy ipv4 0 && bound_is 0 && kept_out family-off'
check "until it is switched on" eval 'put policy ipv4 1 && busy f 2'

# What the rules say is done, whatever was bound before.
replaced()
{
	tc filter replace dev lan ingress prio 1 handle 1 protocol all flower \
		dst_mac "$WAN_HOST_MAC" src_mac "$LAN_HOST_MAC" action vlan push id 30 pipe action mirred egress redirect dev wan &&
		rules_are 2 && bound_is 1
}
check "a rule is replaced by another one for the same frames" replaced
tagged_now()
{
	peer capture && peer stream f up 100 100 && wait_for 5 bound_is 2 && peer halt f
	[ "$(frames wan in vlan=30 "dport=5510")" -gt 30 ] && equal "frames without the new tag" "$(frames wan in vlan=None dport=5510)" 0
}
check "and its frames are as the new one says" tagged_now
no_rules
check "nothing is bound without rules" eval 'bound_is 0 && rules_are 0'
check "the kernel does not allow skip_sw for devices whose driver has no offload of its own" not \
	eval "tc qdisc add dev lan clsact; tc filter add dev lan ingress flower skip_sw dst_mac $WAN_HOST_MAC src_mac $LAN_HOST_MAC $TO_WAN"
no_rules

check "a connection is bound" eval 'peer capture && again && peer send f both 200 150'
check "and ends when it was idle" wait_for 50 bound_is 0
check_counts "nothing of what it carried is lost" counts_are lan wan

# To a group: not for one host, so the bridge has to see each frame.
# shellcheck disable=SC2086 # words
check "a rule for a group is not taken" refused multicast \
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
check "frames to one pass, each once" to_group

check "bound again" busy f 2
unloaded()
{
	rmmod nft_offload && engine_bound_is 0 && looked_at 0 && peer send f both 20 100
}
check "an unloaded module leaves nothing bound" unloaded
check "rules that were there first are not taken" eval 'load && rules_are 0 && log_has 1 "rules of tc were there first"'
no_rules
check "new ones are" again
check "and go with the bridge's ports" eval 'tc qdisc del dev lan clsact; tc qdisc del dev wan clsact; bound_is 0'
peer close f >"$OUT"
peer close g >"$OUT"
bridge_down
finish
