#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# oracle: none
# The module cannot come before nf_flow_table, and says why; it can before nft_flow_offload.
. "$(dirname "$0")/lib.sh"
early=$(insmod "$MODULE" 2>&1) && early=loaded
modprobe nf_flow_table && insmod "$MODULE"
late=$?
offload=$(grep -c '^nft_flow_offload ' /proc/modules)
begin 9 none

check "without nf_flow_table it is not loaded" equal insmod "${early##*: }" "Unknown symbol in module"
check "nothing is left of that" not grep -q '^nft_offload .*(Loading)' /proc/modules
check "with it, it is" equal "exit status" "$late" 0
check "before nft_flow_offload" equal nft_flow_offload "$offload" 0
check "it has its engine" find_engine
check "a ruleset loads, and brings that" ruleset hardware
peer open f udp lan "$WAN_HOST4" 5201 >/dev/null
check "a flow is in hardware" offloaded f ":5201"
check "the audit is clean" audit_clean
peer close f >/dev/null
check "the log is clean" log_clean
finish
