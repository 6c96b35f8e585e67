#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vcpus 2
# oracle: none
# Rules that no kernel would make, on all processors at once, through the callbacks of flowtables
# and tc: the module takes or refuses each of them, and works afterwards as before.
# HOSTILE_SEED= and HOSTILE_COUNT= choose other rules and more.
. "$(dirname "$0")/../lib/lib.sh"
begin 17

needs_oracle
REPORT=/sys/kernel/debug/nft_offload_oracle
SEED=${HOSTILE_SEED-$RANDOM} COUNT=${HOSTILE_COUNT-20000}

# at_least KEY N: the oracle has counted N or more
at_least()
{
	local n
	n=$(value_of "$1" "$REPORT")
	echo "$1: $n, want $2 or more"
	[ "${n:-0}" -ge "$2" ]
}

all_left() { nothing_left && equal rules_now "$(stat_of rules_now)" 0 && flowtables_are 0; }

note "seed $SEED, $COUNT commands on each processor"
check "the module answers all rules" insmod "$ORACLE" hostile=lan,wan "seed=$SEED" "count=$COUNT"
[ -e "$REPORT" ] && while read -r line; do note "$line"; done <"$REPORT"
check "both processors give rules" at_least cpus 2
check "some rules are taken" at_least replaced $((COUNT / 20))
check "many rules are refused" at_least refused $((COUNT / 10))
check "flows come and go" at_least destroyed $((COUNT / 100))
check "bindings come and go" at_least rebinds $((COUNT / 1000))
check "some filters of tc are taken" at_least tc_replaced $((COUNT / 20))
check "many filters of tc are refused" at_least tc_refused $((COUNT / 10))
check "filters of tc come and go" at_least tc_destroyed $((COUNT / 100))
check "bindings of tc come and go" at_least tc_rebinds $((COUNT / 1000))
check "the module takes no binding that is not to an ingress side" grep -x 'odd_binds 0' "$REPORT"
check "no flow, filter or flowtable is left" all_left
check "the module never quarantined the engine" equal quarantined "$(stat_of quarantined)" 0
by_tc()
{
	modprobe -a sch_ingress cls_flower act_mirred && tc qdisc add dev lan clsact &&
		tc filter add dev lan ingress protocol all flower dst_mac "$WAN_HOST_MAC" \
			src_mac "$LAN_HOST_MAC" action mirred egress redirect dev wan &&
		equal rules_now "$(stat_of rules_now)" 1 && tc qdisc del dev lan clsact &&
		equal rules_now "$(stat_of rules_now)" 0
}
check "the module takes a real filter of tc" by_tc
check "the ruleset loads" ruleset hardware
check "a flow is offloaded" flow_offloaded f 5201 alone
peer close f >/dev/null
check "nothing stays bound" wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
finish
