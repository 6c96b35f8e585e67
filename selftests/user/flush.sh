#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# When nft deletes the table, all flows have left the hardware before nft returns. The kernel sends
# no DESTROY for them.
. "$(dirname "$0")/../lib/lib.sh"
begin 11

check "the ruleset loads" ruleset hardware
for n in 1 2 3; do
	peer open f$n udp lan "$WAN_HOST4" 521$n >/dev/null
	peer send f$n both 2 100 >/dev/null
done
check "six directions are bound" wait_for 5 bound_is 6
check "they are bound in the engine too" engine_bound_is 6
peer stream f1 up 200 100 >/dev/null
check "the table is deleted" nft delete table inet fw4
check "nothing is bound any more" bound_is 0
check "nothing is bound in the engine" engine_bound_is 0
rx=$(router_rx)
sleep 1
seen=$(($(router_rx) - rx))
check "the stream goes on by software" [ "$seen" -gt 100 ]
check "the stream ends" peer halt f1
check "nothing of it was lost" all_arrived
check "the table can be loaded again" ruleset hardware
check "a flow is offloaded again" offloaded f2 ""
finish
