#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The MTU of a path is smaller than that of the ports: of a VLAN device, of a route, of a port that
# changes under a running flow. No larger packet is forwarded, and its sender is told, as without
# a flowtable. Reports of the kind "1500 bytes pass although the route takes 1400".
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/encap.sh"
begin $((2 + 6 + 6 + 5))

# sized FLOW SIZE HEADERS: ten packets of SIZE bytes that must not be fragmented. ARRIVED is how
# many arrived, TOLD how often the sender was told that they are too large.
sized()
{
	peer capture && peer burst "$1" up 10 $(($2 - $3)) df || return 1
	usleep 200000
	ARRIVED=$(frames wan in proto=udp "bytes=$2")
	TOLD=$(($(frames lan in icmp=3/4) + $(frames lan in proto=icmp6 "dst=$LAN_HOST6")))
	echo "$2 bytes: $ARRIVED arrived, the sender was told $TOLD times"
}
passes() { sized "$@" && [ "$ARRIVED" = 10 ]; }
too_big() { sized "$@" && [ "$ARRIVED" = 0 ] && [ "$TOLD" -ge 1 ]; }

# refused FLOW DPORT: packets that leave are refused for their path, more often than REFUSED times
refused()
{
	for _ in 1 2 3 4 5 6; do
		# The sender's socket may report that an earlier packet was too large.
		peer send "$1" both 2 100
		usleep 100000
		[ "$(reject_of mtu)" -gt "$REFUSED" ] && bound_is 0 "orig=[^ ]*:$2 " && return 0
	done
	awk '$2 != 0' "$ENGINE/rejects"
	return 1
}

# hardware FLOW DPORT
hardware() { wait_for 3 offloaded "$1" ":$2"; }

flowtable_timeout 30
check "VLANs at the wan" tagged wan 10
check "the ruleset loads" ruleset hardware

# --- a VLAN device -----------------------------------------------------------------------

check "IPv4: the VLAN takes as much as the port: in hardware" eval "peer open a udp lan 198.51.100.130 6001 && hardware a 6001"
check "IPv6: likewise" eval "peer open b udp lan 2001:db8:b::2 6002 && hardware b 6002"
REFUSED=$(reject_of mtu)
ip link set wan.10 mtu 1400
check "IPv4: a VLAN device of 1400: larger packets are answered at once" too_big a 1500 28
check "IPv6: likewise" too_big b 1500 48
check "the flow is refused for its path" refused a 6001
check "packets that fit arrive" passes a 1400 28
ip link set wan.10 mtu 1500

# --- a route -----------------------------------------------------------------------------

ip route replace "$WAN_HOST4/32" dev wan mtu 1400
# Of IPv6 routes the kernel heeds only this when it forwards.
ip -6 route replace "$WAN_HOST6/128" dev wan mtu lock 1400
REFUSED=$(reject_of mtu)
check "IPv4: a flow on a route of 1400 is refused" eval "peer open c udp lan $WAN_HOST4 6003 && refused c 6003"
check "IPv4: larger packets are answered" too_big c 1500 28
REFUSED=$(reject_of mtu)
check "IPv6: a flow on a route of 1400 is refused" eval "peer open d udp lan $WAN_HOST6 6004 && refused d 6004"
check "IPv6: larger packets are answered" too_big d 1500 48
ip route del "$WAN_HOST4/32" dev wan
ip -6 route del "$WAN_HOST6/128" dev wan
check "the route takes 1500 again: in hardware" hardware c 6003
check "packets of 1500 bytes arrive" passes c 1500 28

# --- a port ------------------------------------------------------------------------------

ip link set wan mtu 1400
check "the port takes 1400, under a running flow: larger packets are answered at once" too_big c 1500 28
check "the flow is in hardware: the engine's limit follows the port" hardware c 6003
check "there, larger packets are answered" too_big c 1500 28
check "packets that fit arrive" passes c 1400 28
ip link set wan mtu 1500
check "the port takes 1500 again" eval "hardware c 6003 && passes c 1500 28"
for flow in a b c d; do
	peer close $flow >"$OUT"
done
tear_down - 10 >"$OUT" 2>&1
finish
