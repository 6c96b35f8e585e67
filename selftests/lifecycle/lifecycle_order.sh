#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# oracle: none
# The module cannot come before nf_flow_table, and says why; it can before nft_flow_offload.
. "$(dirname "$0")/../lib/lib.sh"
built_in=$(grep -E '/(nf_flow_table|nft_flow_offload)[.]ko' "/lib/modules/$(uname -r)/modules.builtin")
early=$(insmod "$MODULE" 2>&1) && early=loaded
modprobe nf_flow_table && insmod "$MODULE"
late=$?
offload=$(grep -c '^nft_flow_offload ' /proc/modules)
begin 8 none

# order POINT COMMAND…: a point about which module comes first
order()
{
	if [ -n "$built_in" ]; then
		ktap_test_skip "$1: this kernel has nf_flow_table or nft_flow_offload built in"
	else
		check "$@"
	fi
}
order "without nf_flow_table it is not loaded" equal insmod "${early##*: }" "Unknown symbol in module"
order "nothing is left of that" not grep -q '^nft_offload .*(Loading)' /proc/modules
order "with it, it is" equal "exit status" "$late" 0
order "before nft_flow_offload" equal nft_flow_offload "$offload" 0
check "it has its engine" find_engine
check "a ruleset loads, and brings that" ruleset hardware
check "a flow is in hardware" flow_offloaded f 5201
check "the audit is clean" audit_clean
peer close f >/dev/null
finish
