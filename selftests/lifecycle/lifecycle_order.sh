#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# oracle: none
# The module cannot be loaded before nf_flow_table, and the log says why. It can be loaded before
# nft_flow_offload, and after devices that stand above a port and have its address.
. "$(dirname "$0")/../lib/lib.sh"
built_in=$(grep -E '/(nf_flow_table|nft_flow_offload)[.]ko' "/lib/modules/$(uname -r)/modules.builtin")
early=$(insmod "$MODULE" 2>&1) && early=loaded
modprobe nf_flow_table && insmod "$MODULE"
late=$?
offload=$(grep -c '^nft_flow_offload ' /proc/modules)
begin 11 none

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
peer close f >"$OUT"
nft delete table inet fw4

# The kernel shows a module the devices of the first namespace first, and there in the order in
# which they came: so both devices before their ports.
above()
{
	rmmod nft_offload
	ip link add above0 link lan type macvlan mode passthru && ip netns add apart &&
		ip link set wan netns apart && ip link set lan netns apart && ip -n apart link set lan netns 1 || return 1
	if modprobe ipvlan; then
		ip -n apart link add above1 link wan type ipvlan && ip -n apart link set above1 netns 1 || return 1
	fi
	equal "the macvlan's address" "$(cat /sys/class/net/above0/address)" "$LAN_PORT_MAC"
}
# ports_are NAMES: those devices are the ports
ports_are() { equal ports "$(sed -nE 's/^port [0-9]+: [^ ]+ ([^ ]+).*/\1/p' "$ENGINE/status" | xargs)" "$1"; }
back()
{
	ip link del above0
	ip link del above1 2>/dev/null
	ip -n apart link set wan netns 1 && ip netns del apart && ports_are "lan wan"
}
check "a macvlan and an ipvlan have the addresses of their ports" above
load
check "after them the module takes the ports for its ports" ports_are "lan wan"
check "so it does without them" back
finish
