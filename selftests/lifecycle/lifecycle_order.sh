#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# oracle: none
# The module cannot be loaded before nf_flow_table, and the log says why. It can be loaded before
# nft_flow_offload.
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
order "without nf_flow_table the module does not load" equal insmod "${early##*: }" "Unknown symbol in module"
order "nothing is left of the attempt" not grep -q '^nft_offload .*(Loading)' /proc/modules
order "with nf_flow_table it loads" equal "exit status" "$late" 0
order "nft_flow_offload was not loaded then" equal nft_flow_offload "$offload" 0
check "it has its engine" find_engine
check "a ruleset loads, and nft_flow_offload with it" ruleset hardware
check "a flow is in hardware" flow_offloaded f 5201
check "the audit is clean" audit_clean
finish
