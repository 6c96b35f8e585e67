#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# The engine is unplugged while it forwards.
. "$(dirname "$0")/lib.sh"
begin 10

check "the ruleset loads" ruleset hardware
peer open f udp lan "$WAN_HOST4" 5201 >/dev/null
peer open g tcp lan "$WAN_HOST4" 5202 >/dev/null
check "a UDP flow is offloaded" offloaded f 5201
check "a TCP flow is offloaded" offloaded g 5202
peer stream f up 100 100 >/dev/null
check "the engine is unplugged" lab unplug
check "the kernel lets it go" wait_for 10 sh -c '! grep -q 0x10f7 /sys/bus/pci/devices/*/device'
check "its debugfs folder is gone" wait_for 3 not test -e "$ENGINE"
check "TCP goes on by CPU" wait_for 5 peer send g both 20 200 gap=2
peer halt f >/dev/null
peer stream f up 100 100 >/dev/null
sleep 1
peer halt f >/dev/null
check "so does UDP" equal arrived "$(field got)" "$(field sent)"
check "the module unloads" rmmod nft_offload
check "the log is clean" log_clean
finish
