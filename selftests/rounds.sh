#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --append slab_nomerge
# oracle: none
# The module comes and goes, and then its flowtable, again and again under traffic. Flows are in
# hardware each time, and in the end memory is where it was. ROUNDS= says how often; if each leaves
# something behind, 24 show it from an object of slab or a page of vmalloc on, 1000 from a page
# of any kind on.
. "$(dirname "$0")/lib.sh"
begin 13 none

ROUNDS=${ROUNDS-24}
# Until what is made once is made.
WARM_UP=$((ROUNDS < 100 ? 5 : 20))
BEFORE=/tmp/rounds.before AFTER=/tmp/rounds.after

# --- memory ----------------------------------------------------------------------------------

# figures FILE: what is in use, without the module. What is kept to be freed later is freed
# before, and what the processors have at hand of a cache of slab goes back to it just before
# it is counted. An interrupt may have them take more at once, so the least of two counts is
# taken; before these there is one more, as the first one leaves things behind.
figures()
{
	local cache objects
	for _ in 0 1 2; do
		# What was used goes when it is asked for again.
		for _ in 1 2 3; do echo 3 >/proc/sys/vm/drop_caches; done
		usleep 200000
		echo count
		for cache in /sys/kernel/slab/*; do
			echo 1 >"$cache/shrink"
			read -r objects _ <"$cache/objects"
			echo "${cache##*/} $objects"
		done
	done | awk '
		$1 == "count" { counts++; next }
		counts > 1 && (!($1 in least) || $2 < least[$1]) { least[$1] = $2 }
		END { for (cache in least) print cache, least[cache] }' >"$1"
	awk '/^(MemFree|SUnreclaim|VmallocUsed|Percpu):/ { sub(":", ""); print $1, $2 }' /proc/meminfo >>"$1"
	echo "areas $(grep -vc unpurged /proc/vmallocinfo)" >>"$1"
}

# unchanged: no figure says that something was left in every other round. A few objects come
# and go with the shell that counts them, and some caches' with whatever a router does besides:
# of these a processor may have taken 60 at once. Memory is in KiB.
unchanged()
{
	awk -v objects=$((ROUNDS / 2)) '
		BEGIN {
			split("skbuff_head_cache skbuff_small_head maple_node damon_region", busy, " ")
			for (n in busy)
				limit[busy[n]] = objects > 128 ? objects : 128
			limit["MemFree"] = 2048; limit["SUnreclaim"] = 128; limit["VmallocUsed"] = 80
			limit["Percpu"] = 16
		}
		NR == FNR { before[$1] = $2; next }
		{
			grown = $2 - before[$1]
			if ($1 == "MemFree")
				grown = -grown
			if (grown)
				line = line " " $1 " " grown
			if (grown > ($1 in limit ? limit[$1] : objects)) {
				print $1 ": " before[$1] " before, " $2 " after"
				bad = 1
			}
		}
		END { print "more than before:" line; exit bad || FNR < 50 }' $BEFORE $AFTER
}

memory()
{
	if [ "$SLOW" -gt 1 ]; then
		ktap_test_skip "$1: this kernel keeps what was freed, for its checks"
		return
	fi
	check "$1" unchanged
	note "$(tail -n 1 "$OUT")"
}

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
	figures $BEFORE
	flows >/dev/null
	check "$1: $ROUNDS rounds" "$2" "$ROUNDS"
	check "$1: flows were bound in each" [ "$BOUND" -ge $((4 * ROUNDS)) ]
	note "$BOUND entries bound in $ROUNDS rounds"
	no_flows >/dev/null 2>&1
	figures $AFTER
	memory "$1: memory is where it was"
}

check "a flow opens" peer open f udp lan "$WAN_HOST4" 5201
check "and one of IPv6" peer open g udp lan "$WAN_HOST6" 5202
again "insmod and rmmod" module_rounds
again "a flowtable comes and goes" flowtable_rounds
check "the log is clean" log_clean
finish
