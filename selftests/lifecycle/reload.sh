#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# OpenWrt's fw4 does this on every reload: it probes with a table of its own, and then replaces
# the old flowtable by a new one, in one transaction.
. "$(dirname "$0")/../lib/lib.sh"
begin 13

check "the probe says yes" probe
check "the probe leaves nothing" sh -c '! nft list tables | grep -q hw-offload-test'
check "the ruleset loads" ruleset hardware
check "a flow is offloaded" flow_offloaded f 5201 alone
total=$(stat_of bound_total) flushed=$(stat_of flushed)
check "the probe says yes beside a live flowtable" probe
check "the flows stay bound" bound_is 2
check "the flows are not touched" equal "bound_total and flushed" "$(stat_of bound_total) $(stat_of flushed)" "$total $flushed"

peer stream f up 100 100 >/dev/null
check "a reload under traffic" ruleset hardware
check "another one" ruleset hardware
sleep 2
check "the stream ends" peer halt f
check "nothing of it was lost" all_arrived
check "the flow is offloaded in the new flowtable" offloaded f ""
peer close f >/dev/null
check "nothing stays bound" wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
finish
