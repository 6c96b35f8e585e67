#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A full conntrack drops connections that are not assured, and so spares those of flows in
# hardware.
. "$(dirname "$0")/../lib/lib.sh"
begin 5

max=$(sysctl -n net.netfilter.nf_conntrack_max) size=$(cat /sys/module/nf_conntrack/parameters/hashsize)
check "the ruleset loads" ruleset hardware
check "a flow in use is offloaded" flow_offloaded long 5204
peer stream long both 20 100 >/dev/null
is_assured()
{
	conntrack -L -p udp -u ASSURED 2>/dev/null | grep 'dport=5204 '
}
check_counts "it becomes assured" wait_for 8 is_assured
id_of()
{
	conntrack -L -p udp -o id 2>/dev/null | sed -n 's/.*dport=5204 .* id=\([0-9]*\).*/\1/p'
}
before=$(id_of)
echo 512 >/sys/module/nf_conntrack/parameters/hashsize
sysctl -qw net.netfilter.nf_conntrack_max=256
dropped()
{
	conntrack -S | tr ' ' '\n' | awk -F= '$1 == "early_drop" { n += $2 } END { print n + 0 }'
}
flood()
{
	local start
	start=$(dropped)
	# shellcheck disable=SC2016 # the other shell's
	lan python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(10000, 13000):
    s.sendto(b"x", (sys.argv[1], port))
    time.sleep(0.001)' "$WAN_HOST4"
	echo "early drops: $(($(dropped) - start))"
	[ $(($(dropped) - start)) -gt 1000 ]
}
check "unanswered datagrams fill conntrack" flood
check_counts "the flow in use keeps its connection" equal connection "$(id_of)" "$before"
sysctl -qw net.netfilter.nf_conntrack_max="$max"
echo "$size" >/sys/module/nf_conntrack/parameters/hashsize
peer halt long >/dev/null
peer close long >/dev/null
finish
