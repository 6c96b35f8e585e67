#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# IPv6, TCP and UDP, opened from either side.
. "$(dirname "$0")/../lib/lib.sh"
begin $((1 + 4 * CASE_POINTS))

check "the ruleset loads" ruleset hardware
up="src=$LAN_HOST6 dst=$WAN_HOST6" down="src=$WAN_HOST6 dst=$LAN_HOST6"
for proto in udp tcp; do
	forwarded_by_hardware $proto lan "$WAN_HOST6" 5201 "$up dport=5201" "$up dport=5201" \
		"$down sport=5201" "$down sport=5201"
	forwarded_by_hardware $proto wan "$LAN_HOST6" 5202 "$down dport=5202" "$down dport=5202" \
		"$up sport=5202" "$up sport=5202"
done
finish
