#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --append slab_nomerge
# check-all: ROUNDS=1000 timeout=3600
# oracle: none
# The module comes and goes, and then its flowtable, again and again under traffic. Flows are in
# hardware each time, and in the end memory is where it was. ROUNDS= says how often; if each leaves
# something behind, 24 show it from an object of slab or a page of vmalloc on, 1000 from a page
# of any kind on.
. "$(dirname "$0")/../lib/lib.sh"
. "$here/memory.sh"
begin 12 none

# A kernel with checks keeps what was freed: it has no figures, and finds mistakes in few rounds.
ROUNDS=${ROUNDS-$((SLOW > 1 ? 8 : 24))}
# Until what is made once is made.
WARM_UP=$((ROUNDS < 100 ? 5 : 20))

# --- rounds ----------------------------------------------------------------------------------

flows()
{
	peer stream f both 40 200 && peer stream g both 40 200
}
no_flows()
{
	peer halt f && peer halt g
	nft flush ruleset
	conntrack -F
}

# both_bound: not by wait_for, whose steps are longer than most of this takes
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
check "and one of IPv6" peer open g udp lan "$WAN_HOST6" 5202
again "insmod and rmmod" module_rounds
again "a flowtable comes and goes" flowtable_rounds
finish
