#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vcpus 2
# The module is removed, and its flowtable is deleted, while the kernel offers hundreds of flows
# on two processors: the module waits for the callbacks that run, and leaves nothing behind.
. "$(dirname "$0")/../lib/lib.sh"
begin 18

# The kernel has offered many flows and goes on.
busy() { [ "$(stat_of offered)" -gt 300 ]; }
# during PORT COMMAND…: while many flows come
during()
{
	local port=$1 status
	shift
	many_flows 1000 "$port" 0.002 >/dev/null 2>&1 &
	wait_for 20 busy || return 1
	note "$(stat_of offered) offered, $(bound) bound"
	"$@"
	status=$?
	wait $!
	return $status
}

check "two processors" equal processors "$(grep -c '^processor' /proc/cpuinfo)" 2
for round in 1 2 3; do
	check "the ruleset loads" ruleset hardware
	check "the module goes while flows are offered" during "540$round" rmmod nft_offload
	check "no entry is left" engine_bound_is 0
	nft delete table inet fw4
	conntrack -F >/dev/null 2>&1
	check "the module is loaded again" load
done
check "the ruleset loads" ruleset hardware
check "the table goes while flows are offered" during 5405 nft delete table inet fw4
check "no entry is left when that returns" engine_bound_is 0
check "the audit is clean" audit_clean
conntrack -F >/dev/null 2>&1
ruleset hardware
check "a flow is in hardware after all that" flow_offloaded f 5201
finish
