#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# IPv4 port forwards: the address alone, and address and port.
. "$(dirname "$0")/lib.sh"
begin $((2 + 3 * CASE_POINTS))

outer="src=$WAN_HOST4 dst=$WAN_ROUTER4" inner="src=$WAN_HOST4 dst=$LAN_HOST4"
reply="src=$LAN_HOST4 dst=$WAN_HOST4" shown="src=$WAN_ROUTER4 dst=$WAN_HOST4"
DNAT="iifname wan meta l4proto { tcp, udp } th dport 8080 dnat ip to $LAN_HOST4:80"
check "the ruleset loads" ruleset hardware
for proto in udp tcp; do
	forwarded_by_hardware $proto wan "$WAN_ROUTER4" 8080 "$outer dport=8080" "$inner dport=80" \
		"$reply sport=80" "$shown sport=8080" at="$LAN_HOST4" port=80
done
DNAT="iifname wan udp dport 9000 dnat ip to $LAN_HOST4"
check "the ruleset with another forward loads" ruleset hardware
forwarded_by_hardware udp wan "$WAN_ROUTER4" 9000 "$outer dport=9000" "$inner dport=9000" \
	"$reply sport=9000" "$shown sport=9000" at="$LAN_HOST4"
finish
