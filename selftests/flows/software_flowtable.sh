#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The kernel's own software flowtable, without the module. Other tests compare hardware with
# it; this test also checks the lab and the library.
. "$(dirname "$0")/../lib/lib.sh"
begin 12 none

check "fw4's ruleset with a software flowtable loads" ruleset software
for proto in udp tcp; do
	peer capture >/dev/null
	check "$proto: a connection opens" peer open f $proto lan "$WAN_HOST4" 5201
	tuple="proto=$proto src=$LAN_HOST4 dst=$WAN_HOST4"
	back="proto=$proto src=$WAN_HOST4 dst=$LAN_HOST4"
	check "$proto: data arrives both ways" peer send f both 50 200 gap=1
	check "$proto: conntrack says it is offloaded" \
		wait_for 3 sh -c "conntrack -L -p $proto 2>/dev/null | grep -q 'dport=5201.*OFFLOAD'"
	check "$proto: the right frames came out at the wan" same_frames lan "$tuple" wan "$tuple"
	peer close f >/dev/null
	check "$proto: accounting is exact" exact $proto dport=5201 lan "$tuple" wan "$back"
	conntrack -F >/dev/null 2>&1
done
check "a hardware flowtable is refused where no driver has the ports" not ruleset hardware
finish
