#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Idle time comes from the hardware: a flow whose packets only hardware sees stays, and a flow
# without packets ends.
. "$(dirname "$0")/../lib/lib.sh"
begin 11

check "the ruleset loads" ruleset hardware
check "a flow is offloaded" flow_offloaded f 5201 alone
bound_before=$(stat_of bound_total)
rx=$(router_rx)
peer stream f up 50 100 >/dev/null
sleep $((FLOWTABLE_TIMEOUT * 2 + 2))
check "it is bound after twice the timeout" bound_is 2
check "it was not bound anew meanwhile" equal bound_total "$(stat_of bound_total)" "$bound_before"
# A frame a second can be a request for a neighbour; it is not the flow.
seen=$(($(router_rx) - rx))
check "its packets did not come by software" [ "$seen" -lt 20 ]
check "the stream ends" peer halt f
check "nothing of it was lost" all_arrived
check "conntrack's entry is alive" sh -c "conntrack -L -p udp 2>/dev/null | grep -q dport=5201"
check "an idle flow is removed" wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
check "it is removed from the engine too" engine_bound_is 0
check "it comes back with its next packets" offloaded f ""
finish
