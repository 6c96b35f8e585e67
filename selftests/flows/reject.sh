#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The module refuses flows that it cannot offload, with a reason, and they go on by CPU.
. "$(dirname "$0")/../lib/lib.sh"
begin 17

# refused REASON COMMAND…: the count of REASON grows
refused()
{
	local before now
	before=$(reject_of "$1") || { echo "no reason named $1"; cat "$ENGINE/rejects"; return 1; }
	"${@:2}" || return 1
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		now=$(reject_of "$1")
		[ "$now" -gt "$before" ] && return 0
		usleep 200000
	done
	echo "$1 stays at $before"
	cat "$ENGINE/rejects"
	return 1
}

with_dummy() { DEVICES='"lan", "wan", "dummy0"' ruleset hardware; }

check "every reason is listed" sh -c "[ \$(wc -l <'$ENGINE/rejects') -gt 10 ]"

# A member that is no port of the engine.
ip link add dummy0 type dummy
ip link set dummy0 up
check "a flowtable with a foreign member is refused as a whole" not with_dummy
check "a flowtable with the ports alone loads" ruleset hardware
check "a second flowtable with a foreign member is refused too" not nft 'add table inet other; add flowtable inet other ft {
	hook ingress priority 0; devices = { "dummy0" }; flags offload; }'
check "this touches no flow of the ports" flow_offloaded f 5201 alone
peer close f >/dev/null

# Translation of IPv6.
nft add chain inet fw4 six '{ type nat hook postrouting priority srcnat; }'
nft add rule inet fw4 six meta nfproto ipv6 udp dport 5206 masquerade
peer capture >/dev/null
check "IPv6 NAT is refused: nat66" refused nat66 peer open g udp lan "$WAN_HOST6" 5206
check "IPv6 NAT: traffic goes on by CPU" peer send g both 50 100 gap=2
check "IPv6 NAT: the right frames came out at the wan" same_frames \
	lan "proto=udp src=$LAN_HOST6 dport=5206" wan "proto=udp src=$WAN_ROUTER6 dport=5206"
peer close g >/dev/null

# A flow that leaves by a device that is no port. The kernel does not offer it; if it did, the
# hardware would send it to the wrong place.
ip netns add other
ip link add up0 type veth peer name eth0 netns other
ip addr add 198.51.100.1/24 dev up0
ip link set up0 up
ip -n other addr add 198.51.100.2/24 dev eth0
ip -n other link set eth0 up
ip -n other route add default via 198.51.100.1
nft add rule inet fw4 forward iifname up0 accept
ip netns exec other socat -T 20 udp4-listen:5207,fork exec:cat &
echoer=$!
echoes()
{
	lan python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.connect((sys.argv[1], 5207))
for n in range(20):
	s.send(b"%d" % n)
	assert s.recv(100) == b"%d" % n
	time.sleep(0.02)
' 198.51.100.2
}
wait_for 3 sh -c 'ip netns exec other ss -lun | grep -q 5207' >"$OUT"
check "a flow to a foreign device goes by CPU" echoes
check "it is not bound" bound_is 0 5207
kill $echoer
ip netns del other
ip link del up0 2>/dev/null

# An 802.1ad tag, which the chip cannot offload.
ip link add link wan name wan.7 type vlan proto 802.1ad id 7
ip link set wan.7 up
ip addr add 198.51.100.1/24 dev wan.7
peer vlan wan ad7 198.51.100.2/24 >"$OUT"
wan ip route replace "$LAN_HOST4" via 198.51.100.1
lan ping -c 1 -w 5 198.51.100.2 >>"$OUT" 2>&1
peer capture >/dev/null
check "an 802.1ad tag is refused: vlan-8021ad" refused vlan-8021ad peer open v udp lan 198.51.100.2 5208
check "802.1ad: traffic goes on by CPU" peer send v both 50 100 gap=5
check "802.1ad: the right frames came out, tagged" same_frames \
	lan "proto=udp dst=198.51.100.2" wan "proto=udp dst=198.51.100.2 vlan=7"
check "802.1ad: the right frames came back" same_frames \
	wan "proto=udp src=198.51.100.2 vlan=7" lan "proto=udp src=198.51.100.2"
check "802.1ad: neither direction is bound" bound_is 0 5208
peer close v >/dev/null
peer unplug wan.ad7 >"$OUT"
ip link del wan.7

check "stats has the sum of all refusals" sh -c "[ $(stat_of rejected) -gt 0 ]"
check "the ports' own flows are offloaded as before" flow_offloaded f 5209
finish
