#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# IPv4 with both ends translated at once.
. "$(dirname "$0")/lib.sh"
begin $((1 + 2 * CASE_POINTS))

# The lan host asks for an address that nobody has; the wan host answers, and
# sees the router.
DNAT="iifname lan ip daddr 198.51.100.9 meta l4proto { tcp, udp } th dport 8080 dnat ip to $WAN_HOST4:80"
MASQ=1
check "the ruleset loads" ruleset hardware
for proto in udp tcp; do
	forwarded_by_hardware $proto lan 198.51.100.9 8080 \
		"src=$LAN_HOST4 dst=198.51.100.9 sport=40005 dport=8080" \
		"src=$WAN_ROUTER4 dst=$WAN_HOST4 sport=40005 dport=80" \
		"src=$WAN_HOST4 dst=$WAN_ROUTER4 sport=80 dport=40005" \
		"src=198.51.100.9 dst=$LAN_HOST4 sport=8080 dport=40005" at="$WAN_HOST4" port=80 sport=40005
done
finish
