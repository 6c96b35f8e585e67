#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The module is unloaded while flows run in hardware, and loaded and unloaded fifty times.
. "$(dirname "$0")/../lib/lib.sh"
begin 14

check "the ruleset loads" ruleset hardware
peer open f udp lan "$WAN_HOST4" 5201 >/dev/null
peer open g tcp lan "$WAN_HOST4" 5202 >/dev/null
check "a UDP flow is offloaded" offloaded f 5201
check "a TCP flow is offloaded" offloaded g 5202
peer stream f up 200 100 >/dev/null
check "rmmod under traffic" rmmod nft_offload
check "nothing is bound in the engine" engine_bound_is 0
check "debugfs is gone" not test -e "$DEBUGFS"
check "TCP goes on by CPU" peer send g both 50 200 gap=2
check "the stream ends" peer halt f
check "nothing of it was lost" all_arrived
peer close g >/dev/null

rounds()
{
	local n
	for n in $(seq 50); do
		insmod "$MODULE" && rmmod nft_offload || { echo "in round $n"; return 1; }
	done
}
nft delete table inet fw4
check "fifty rounds of insmod and rmmod" rounds

# Some rounds with a flowtable and a live flow in each.
busy_rounds()
{
	local n
	for n in 1 2 3 4 5; do
		insmod "$MODULE" && find_engine && ruleset hardware && offloaded f "" &&
			rmmod nft_offload && nft delete table inet fw4 || { echo "in round $n"; return 1; }
	done
}
check "rounds with a live flow" busy_rounds
check "nothing is bound in the engine" engine_bound_is 0
check "the module loads after all this" insmod "$MODULE"
find_engine
ruleset hardware
check "the flow is offloaded" offloaded f ""
finish
