#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# An engine that stops answering is given up once; its flows go on by CPU.
. "$(dirname "$0")/lib.sh"
begin 9

check "the ruleset loads" ruleset hardware
peer open f udp lan "$WAN_HOST4" 5201 >/dev/null
check "a flow is offloaded" offloaded f ""
check "the engine dies" vppectl fault dead on
# It is noticed when it is next asked for something.
peer open g udp lan "$WAN_HOST4" 5202 >/dev/null
quarantined()
{
	[ "$(stat_of quarantined)" -gt 0 ]
}
check "the module gives it up" wait_for 10 quarantined
check "the first flow goes on by CPU" wait_for 5 peer send f both 20 100 gap=2
check "so does a new one" peer send g both 20 100 gap=2
check "it says so once" log_has 1 'nft_offload.*does not answer any more'
check "the module unloads" rmmod nft_offload
check "the log is clean" log_clean
finish
