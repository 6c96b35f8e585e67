#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A VPN box at the lan: packets with a mark have a table of routes of their own, which leads to the
# box. The kernel looks for both directions' routes with the mark of one packet, so answers get the
# box's Ethernet address though their destination is a neighbour. Hardware does not take them.
# Reports of the kind "with mark and table 100, answers to clients go to the wrong MAC".
. "$(dirname "$0")/../lib/lib.sh"
begin 5

BOX4=192.0.2.9 BOX_MAC=02:00:00:00:02:99
ip neigh replace $BOX4 lladdr $BOX_MAC nud permanent dev lan
ip route add "$LAN_HOST4/32" via $BOX4 dev lan table 100
ip route add default via "$WAN_HOST4" dev wan table 100
ip rule add fwmark 1 table 100

# bound_are UP DOWN: how many entries are bound
bound_are()
{
	equal "bound of what the lan sends" "$(bound "orig=[^ ]*:5201 ")" "$1" &&
		equal "bound of what it gets" "$(bound "orig=[^ ]*:5201->")" "$2"
}

check "the ruleset loads" ruleset hardware
check "without the mark both directions are in hardware" eval "peer open f udp lan $WAN_HOST4 5201 && wait_for 3 offloaded f :5201"
peer close f >"$OUT"
nft delete table inet fw4
conntrack -F >/dev/null 2>&1
nft -f - <<END
table inet marks {
	chain c {
		type filter hook prerouting priority mangle;
		iifname lan udp dport 5201 meta mark set 1
	}
}
END
# Answers hand nothing over: they have no mark, and would find the right routes.
EXCEPT='ct direction original' ruleset hardware >"$OUT"
# The software flowtable sends the answers to the box, so only one direction sends.
marked()
{
	local n
	peer open g udp lan "$WAN_HOST4" 5201 || return 1
	for n in 1 2 3 4 5 6 7 8 9 10; do
		peer send g up 2 100 && bound_are 1 0 >/dev/null && return 0
		usleep 100000
	done
	bound_are 1 0
	awk '$2 != 0' "$ENGINE/rejects"
	return 1
}
check "with the mark only what the lan sends is in hardware" marked
check "answers are refused since their destination is another neighbour" [ "$(reject_of other-neighbour)" -ge 1 ]
answers()
{
	peer burst g down 10 100 || return 1
	usleep 200000
	bound_are 1 0
}
check "answers that are sent get no entry" answers
ip rule del fwmark 1 table 100
finish
