#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# The engine is unplugged while it forwards, and plugged in again.
. "$(dirname "$0")/../lib/lib.sh"
begin 18

check "the ruleset loads" ruleset hardware
peer open f udp lan "$WAN_HOST4" 5201 >/dev/null
peer open g tcp lan "$WAN_HOST4" 5202 >/dev/null
check "a UDP flow is offloaded" offloaded f 5201
check "a TCP flow is offloaded" offloaded g 5202
peer stream f up 100 100 >/dev/null
check "the engine is unplugged" lab unplug
check "the kernel removes it" wait_for 10 sh -c '! grep -q 0x10f7 /sys/bus/pci/devices/*/device'
check "its debugfs directory is gone" wait_for 3 not test -e "$ENGINE"
check "TCP goes on by CPU" wait_for 5 peer send g both 20 200 gap=2
peer halt f >/dev/null
peer stream f up 100 100 >/dev/null
sleep 1
peer halt f >/dev/null
check "so does UDP" all_arrived

# --- it comes back -------------------------------------------------------------------------
peer stream f up 20 100 >/dev/null
check "the engine is plugged in" lab plug
check "the module finds it" wait_for 10 find_engine
check "it has the ports" equal ports "$(grep -c '^port .* up flowtables=0$' "$ENGINE/status")" 2
check "it has no entry" engine_bound_is 0
check "the audit is clean" audit_clean
# The kernel offers a flowtable only once.
check "the ruleset is loaded again" ruleset hardware
peer halt f >/dev/null
check "the flow that ran is in hardware" offloaded f 5201
check "so is TCP" offloaded g 5202
check "the audit is clean" audit_clean
check "the module unloads" rmmod nft_offload
finish
