#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Frames of an offloaded flow that the hardware must leave to the CPU: the end of
# a TCP connection, fragments, IP options, the last hop of a TTL.
. "$(dirname "$0")/lib.sh"
begin 15

check "the ruleset loads" ruleset hardware
peer open f udp lan "$WAN_HOST4" 5201 >/dev/null
check "a UDP flow is offloaded" offloaded f ""
tuple="proto=udp src=$LAN_HOST4 dst=$WAN_HOST4"

# to_cpu KIND: one frame of that kind, seen by the router's port
to_cpu()
{
	local before
	before=$(cat /sys/class/net/lan/statistics/rx_packets)
	peer capture
	peer raw lan "$1" f || return 1
	wait_for 2 sh -c "[ \$(cat /sys/class/net/lan/statistics/rx_packets) -gt $before ]"
}

# past_cpu: one plain frame, not seen by the router's port
past_cpu()
{
	local before
	before=$(cat /sys/class/net/lan/statistics/rx_packets)
	peer capture
	peer raw lan plain f && same_frames lan "$tuple" wan "$tuple" &&
		equal frames "$(cat /sys/class/net/lan/statistics/rx_packets)" "$before"
}
# A host may have something else to say just then, as to which groups it belongs.
check "a plain frame does not reach the router" wait_for 5 past_cpu
check "it comes out at the wan" same_frames lan "$tuple" wan "$tuple"

check "a frame with IP options reaches the router" to_cpu options
check "and is forwarded by it" same_frames lan "$tuple options=1" wan "$tuple options=1"
check "a fragment reaches the router" to_cpu fragment
check "a frame with TTL 1 reaches the router" to_cpu ttl1
check "and is not forwarded" equal frames "$(frames wan in proto=udp src="$LAN_HOST4" dst="$WAN_HOST4")" 0
check "but answered" equal "ICMP errors" "$(frames lan in proto=icmp src="$LAN_ROUTER4")" 1
peer close f >/dev/null

# Every FIN or RST that was sent came by the CPU.
ends_seen()
{
	[ "$ends" -gt 0 ] && [ "$seen" -ge "$ends" ]
}

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
	check "TCP $end: $flag is seen by the router" ends_seen
	check "TCP $end: the flow leaves the hardware" wait_for 5 bound_is 0 5202
done
check "the log is clean" log_clean
finish
