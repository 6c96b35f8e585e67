#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vcpus 2
# oracle: none
# Rules that no kernel would make, on all processors at once, by the callback that
# flowtables use: each is taken or refused, and the module is as good as new after them.
# HOSTILE_SEED= and HOSTILE_COUNT= choose others and more.
. "$(dirname "$0")/lib.sh"
begin 12

ORACLE=/root/nft_offload_oracle.ko
[ -e "$ORACLE" ] || ktap_exit_fail_msg "no nft_offload_oracle.ko: build it with 'scripts/module oracle'"
REPORT=/sys/kernel/debug/nft_offload_oracle
SEED=${HOSTILE_SEED-$RANDOM} COUNT=${HOSTILE_COUNT-20000}

end_hostile()
{
	local status=$?
	[ ! -d /sys/module/nft_offload_oracle ] || rmmod nft_offload_oracle
	(exit $status)
	cleanup
}
trap end_hostile EXIT

# at_least KEY N: what the oracle has counted
at_least()
{
	local n
	n=$(awk -v key="$1" '$1 == key { print $2 }' "$REPORT")
	echo "$1: $n, want $2 or more"
	[ "${n:-0}" -ge "$2" ]
}

nothing_left()
{
	bound_is 0 && engine_bound_is 0 && equal flows_now "$(stat_of flows_now)" 0 &&
		grep -qx 'flowtables: 0' "$ENGINE/status"
}

note "seed $SEED, $COUNT commands on each processor"
check "all rules are dealt with" insmod "$ORACLE" hostile=lan,wan "seed=$SEED" "count=$COUNT"
[ -e "$REPORT" ] && while read -r line; do note "$line"; done <"$REPORT"
check "on both processors" at_least cpus 2
check "some are taken" at_least replaced $((COUNT / 20))
check "many are refused" at_least refused $((COUNT / 10))
check "flows come and go" at_least destroyed $((COUNT / 100))
check "bindings too" at_least rebinds $((COUNT / 1000))
check "nothing is left of them" nothing_left
check "the engine was never given up" equal quarantined "$(stat_of quarantined)" 0
check "the ruleset loads" ruleset hardware
peer open f udp lan "$WAN_HOST4" 5201 >/dev/null
check "a flow is offloaded" offloaded f ""
peer close f >/dev/null
check "nothing stays bound" wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
check "the log is clean" log_clean
finish
