#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# IPv4 with masquerade, as every home router does it, and with a port changed.
. "$(dirname "$0")/../lib/lib.sh"
begin $((2 + 3 * CASE_POINTS))

MASQ=1
check "the ruleset loads" ruleset hardware
up="src=$LAN_HOST4 dst=$WAN_HOST4" down="src=$WAN_HOST4 dst=$LAN_HOST4"
natted="src=$WAN_ROUTER4 dst=$WAN_HOST4" back="src=$WAN_HOST4 dst=$WAN_ROUTER4"
for proto in udp tcp; do
	forwarded_by_hardware $proto lan "$WAN_HOST4" 5201 "$up sport=40001 dport=5201" \
		"$natted sport=40001 dport=5201" "$back sport=5201 dport=40001" "$down sport=5201 dport=40001" sport=40001
done
# Source ports that the router changes.
check "a rule that changes the source port loads" \
	nft insert rule inet fw4 srcnat ip protocol udp oifname wan snat ip to "$WAN_ROUTER4:50000-50000"
forwarded_by_hardware udp lan "$WAN_HOST4" 5203 "$up sport=40003 dport=5203" \
	"$natted sport=50000 dport=5203" "$back sport=5203 dport=50000" "$down sport=5203 dport=40003" sport=40003
finish
