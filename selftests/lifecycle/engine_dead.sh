#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# The module quarantines an engine that stops answering, once; its flows go on by CPU. The flows
# come back when the engine answers again, and after a reset behind the module's back.
. "$(dirname "$0")/../lib/lib.sh"
begin 27

check "the ruleset loads" ruleset hardware
peer capture >/dev/null
check "a flow is offloaded" flow_offloaded f 5201 alone
check "the engine dies" vppectl fault dead on
# The module notices that with its next access.
peer open g udp lan "$WAN_HOST4" 5202 >/dev/null
quarantined() { [ "$(stat_of quarantined)" -gt 0 ]; }
check "the module quarantines it" wait_for 10 quarantined
check "the first flow goes on by CPU" wait_for 5 peer send f both 20 100 gap=2
check "so does a new flow" peer send g both 20 100 gap=2
check "the log says so once" log_has 1 'nft_offload.*does not answer any more'
check "it answers again" vppectl fault dead off
back()
{
	peer send f both 20 100 gap=2 && peer send g both 20 100 gap=2 && bound_is 4 && engine_bound_is 4
}
check "the flows come back" wait_for 10 back
check "the log says once that it was started again" log_has 1 'nft_offload.*was started again'
check "the chip is reset" vppectl reset
# shellcheck disable=SC2016 # later
check "the flows come back after the reset" eval 'wait_for 10 back && equal restarted "$(stat_of restarted)" 2'
check_counts "no count of the hardware was lost" exact udp dport=5202 lan "proto=udp dport=5202" wan "proto=udp sport=5202"

given_up() { [ "$(stat_of quarantined)" -gt "$before" ]; }

# A part of the engine hangs: the module waits for its cache, or for a counter, for a bounded
# time only.
for fault in stuck-busy mib-stuck; do
	how=check
	[ $fault != mib-stuck ] || how=check_counts
	before=$(stat_of quarantined)
	vppectl fault $fault on >/dev/null
	hangs()
	{
		cat "$ENGINE/flows"
		echo all >"$ENGINE/flush"
		peer send f both 20 100 gap=2 && peer send g both 20 100 gap=2
	}
	check "$fault: the flows go on" hangs
	$how "$fault: the module quarantines the engine" wait_for 10 given_up
	vppectl fault $fault off >/dev/null
	check "$fault: the flows come back" wait_for 15 back
done

# The engine's tables are the module's memory. The engine may answer again when that memory has
# another owner.
device=/sys/bus/pci/devices/${ENGINE##*/}
check "the engine may access memory" bus_master "$device" 1
before=$(stat_of quarantined)
vppectl fault dead on >/dev/null
check "it dies again" wait_for 10 given_up
check "the module unloads from a dead engine" rmmod nft_offload
check "the engine may not access memory any more" bus_master "$device" 0
vppectl fault dead off >/dev/null
check "the module takes it again" eval "load && nft delete table inet fw4 && ruleset hardware"
check "it stopped the engine before it let it access memory" equal masters "$(engine masters_running)" 0
check "the flows come back" wait_for 10 back
check "the module unloads" rmmod nft_offload
finish
