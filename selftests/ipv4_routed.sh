#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# IPv4 without translation, TCP and UDP, opened from either side.
. "$(dirname "$0")/lib.sh"
begin $((1 + 4 * CASE_POINTS))

check "the ruleset loads" ruleset hardware
up="src=$LAN_HOST4 dst=$WAN_HOST4" down="src=$WAN_HOST4 dst=$LAN_HOST4"
for proto in udp tcp; do
	forwarded_by_hardware $proto lan "$WAN_HOST4" 5201 "$up dport=5201" "$up dport=5201" \
		"$down sport=5201" "$down sport=5201"
	forwarded_by_hardware $proto wan "$LAN_HOST4" 5202 "$down dport=5202" "$down dport=5202" \
		"$up sport=5202" "$up sport=5202"
done
finish
