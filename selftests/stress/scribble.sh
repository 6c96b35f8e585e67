#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# oracle: none
# The engine writes random words into its table and its counters while flows run, come and go.
# Packets may go anywhere meanwhile, but the module does not fail, and everything works afterwards.
# SCRIBBLE_SEED= and SCRIBBLE_ROUNDS= choose another run and a longer one.
. "$(dirname "$0")/../lib/lib.sh"
begin 13

SEED=${SCRIBBLE_SEED-7} ROUNDS=${SCRIBBLE_ROUNDS-24}
FLOWS=(1 2 3 4 5 6)

# round N: random words anywhere, then everything that reads or changes the table.
round()
{
	local n=$1 which=$((1 + $1 % 6))
	vppectl scribble --seed $((SEED + n)) --words $((1 << (n % 10))) >/dev/null || return 1
	cat "$ENGINE"/flows "$ENGINE"/bind "$ENGINE"/entries "$ENGINE"/stats "$ENGINE"/status >/dev/null || return 1
	peer burst "f$which" down 4 100 >/dev/null
	case $((n % 6)) in
	1) peer close "f$which"; peer open "f$which" udp lan "$WAN_HOST4" "522$which" >/dev/null ;;
	2) conntrack -F >/dev/null 2>&1 ;;
	3) ruleset hardware || return 1 ;;
	4) echo all >"$ENGINE/flush" || return 1 ;;
	5) ip link set lan down && ip link set lan up && warm_up ;;
	esac
	return 0
}

scribble()
{
	local n
	for n in $(seq "$ROUNDS"); do
		round "$n" || { echo "round $n failed"; return 1; }
	done
}

all_gone() { equal flows_now "$(stat_of flows_now)" 0 && equal bound_now "$(stat_of bound_now)" 0; }

note "seed $SEED, $ROUNDS rounds"
check "the ruleset loads" ruleset hardware
for n in "${FLOWS[@]}"; do
	peer open "f$n" udp lan "$WAN_HOST4" "522$n" >/dev/null
	peer send "f$n" both 2 100 >/dev/null
done
check "flows are offloaded" wait_for 5 bound_is 12
for n in "${FLOWS[@]}"; do peer stream "f$n" up 10 100 >/dev/null; done
refused=$(stat_of rejected) bound=$(stat_of bound_total)
check "the engine scribbles" scribble
note "bound $(($(stat_of bound_total) - bound)), refused $(($(stat_of rejected) - refused)), entries that are not the module's: $(($(engine_bound) - $(stat_of bound_now)))"
check "flows were bound all the time" [ "$(stat_of bound_total)" -gt $((bound + 12)) ]
for n in "${FLOWS[@]}"; do peer halt "f$n" >/dev/null; peer close "f$n" >/dev/null; done
conntrack -F >/dev/null 2>&1
check "no flow stays" wait_for $((FLOWTABLE_TIMEOUT + 10)) all_gone
check "the module never quarantined the engine" equal quarantined "$(stat_of quarantined)" 0
check "the log is clean so far" log_clean
# The module removes the entries that the engine invented when it starts the next time.
nft flush ruleset
check "the module unloads" rmmod nft_offload
load
check "it loads with an empty table" engine_bound_is 0
check "the ruleset loads again" ruleset hardware
ip -6 addr replace "$LAN_ROUTER6/64" dev lan
warm_up
check "a flow is offloaded" flow_offloaded g 5231 alone
peer capture >/dev/null
peer send g both 50 100 >/dev/null
check "the right frames come out" same_frames lan "proto=udp dport=5231" wan "proto=udp dport=5231"
peer close g >/dev/null
check "nothing stays bound" wait_for $((FLOWTABLE_TIMEOUT + 6)) engine_bound_is 0
finish
