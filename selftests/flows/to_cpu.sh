#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Frames of an offloaded flow that the hardware must leave to the CPU: FIN and RST of a TCP
# connection, fragments, frames with IP options or with TTL 1.
. "$(dirname "$0")/../lib/lib.sh"
begin 14

check "the ruleset loads" ruleset hardware
check "a UDP flow is offloaded" flow_offloaded f 5201 alone
tuple="proto=udp src=$LAN_HOST4 dst=$WAN_HOST4"

# The host also sends other frames. So the router's port counts only frames between these two
# addresses, as they come in; by policy the chain keeps no flow in software.
echo refuse_netdev_chains 0 >"$ENGINE/policy"
nft -f - <<END
table inet watch {
	chain lan {
		type filter hook ingress device "lan" priority -500;
		ip saddr $LAN_HOST4 ip daddr $WAN_HOST4 ip protocol udp counter
	}
}
END
reached() { nft list chain inet watch lan | sed -n 's/.*counter packets \([0-9]*\).*/\1/p'; }

# more_reached COUNT, reached_is COUNT: frames at the router's port
more_reached() { [ "$(reached)" -gt "$1" ]; }
reached_is() { equal "frames of the flow that reached the router" "$(reached)" "$1"; }

# to_cpu KIND: the router's port sees one frame of that kind
to_cpu()
{
	local before
	before=$(reached)
	peer capture
	peer raw lan "$1" f || return 1
	wait_for 2 more_reached "$before"
}

peer capture >/dev/null
before=$(reached)
peer raw lan plain f >/dev/null
check "a plain frame comes out at the wan" same_frames lan "$tuple" wan "$tuple"
check "it does not reach the router" reached_is "$before"

check "a frame with IP options reaches the router" to_cpu options
check "the router forwards it" same_frames lan "$tuple options=1" wan "$tuple options=1"
check "a fragment reaches the router" to_cpu fragment
check "a frame with TTL 1 reaches the router" to_cpu ttl1
check "the router does not forward it" equal frames "$(frames wan in proto=udp src="$LAN_HOST4" dst="$WAN_HOST4")" 0
check "it answers" equal "ICMP time exceeded" "$(frames lan in icmp=11/0 src="$LAN_ROUTER4")" 1
peer close f >/dev/null

# The CPU saw every FIN or RST that was sent.
ends_seen() { [ "$ends" -gt 0 ] && [ "$seen" -ge "$ends" ]; }

for end in close reset; do
	peer open g tcp lan "$WAN_HOST4" 5202 >/dev/null
	offloaded g 5202 >/dev/null
	peer send g both 20 100 >/dev/null
	peer capture >/dev/null
	before=$(router_rx)
	case $end in close) flag=F ;; reset) flag=R ;; esac
	peer $end g >/dev/null
	ends=$(($(frames lan out proto=tcp has="$flag") + $(frames wan out proto=tcp has="$flag")))
	seen=$(($(router_rx) - before))
	check "TCP $end: the router sees $flag" ends_seen
	check "TCP $end: the flow leaves the hardware" wait_for 5 bound_is 0 5202
done
finish
