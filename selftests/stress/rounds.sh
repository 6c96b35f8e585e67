#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --append slab_nomerge
# check-all: ROUNDS=1000 timeout=3600
# oracle: none
# The module is loaded and unloaded, and then its flowtable comes and goes, again and again under
# traffic. Flows are in hardware each time, and in the end memory use is as before. ROUNDS= is the
# number of rounds. If each round leaves something behind, 24 rounds show one object of slab or one
# page of vmalloc a round, and 1000 rounds one page of any kind.
. "$(dirname "$0")/../lib/lib.sh"
. "$here/memory.sh"
begin 12 none

# A kernel with checks keeps freed memory: the test does not compare figures there, and the checks
# find mistakes in few rounds.
ROUNDS=${ROUNDS-$((SLOW > 1 ? 8 : 24))}
# Some memory is allocated once, in the first rounds.
WARM_UP=$((ROUNDS < 100 ? 5 : 20))

# --- rounds ----------------------------------------------------------------------------------

flows() { peer stream f both 40 200 && peer stream g both 40 200; }
no_flows()
{
	peer halt f && peer halt g
	nft flush ruleset
	conntrack -F
}

# both_bound ROUND: without wait_for, whose steps take longer than this
both_bound()
{
	local n
	for n in $(seq $((200 * SLOW))); do
		[ "$(bound)" = 4 ] && return 0
		usleep 20000
	done
	echo "in round $1 $(bound) of 4 entries are bound"
	return 1
}

# The flowtable goes after the module in one round and before it in the next.
module_rounds()
{
	local n
	BOUND=0
	for n in $(seq "$1"); do
		insmod "$MODULE" && find_engine && ruleset hardware && both_bound "$n" || return 1
		BOUND=$((BOUND + $(stat_of bound_total)))
		[ $((n % 2)) = 0 ] || nft delete table inet fw4 || return 1
		rmmod nft_offload || return 1
	done
}
flowtable_rounds()
{
	local n
	insmod "$MODULE" && find_engine || return 1
	for n in $(seq "$1"); do
		ruleset hardware && both_bound "$n" && nft delete table inet fw4 || return 1
	done
	BOUND=$(stat_of bound_total)
	rmmod nft_offload
}

# again WHAT COMMAND
again()
{
	check "traffic runs" flows
	check "$1: $WARM_UP rounds to warm up" "$2" $WARM_UP
	no_flows >/dev/null 2>&1
	memory_before
	flows >/dev/null
	check "$1: $ROUNDS rounds" "$2" "$ROUNDS"
	check "$1: flows were bound in each" [ "$BOUND" -ge $((4 * ROUNDS)) ]
	note "$BOUND entries bound in $ROUNDS rounds"
	no_flows >/dev/null 2>&1
	memory_is_back "$1" "$ROUNDS"
}

check "a flow opens" peer open f udp lan "$WAN_HOST4" 5201
check "a flow over IPv6 opens" peer open g udp lan "$WAN_HOST6" 5202
again "insmod and rmmod" module_rounds
again "a flowtable comes and goes" flowtable_rounds
finish
