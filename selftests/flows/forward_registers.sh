#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --append=iomem=relaxed
# The ports send their frames to the engine while the module is loaded, and afterwards to
# where they sent them before. When frames of a flow come past the engine, the kernel offers
# the flow again: the module takes that as a refresh, not as a failure.
. "$(dirname "$0")/../lib/lib.sh"
begin 8 none

# The kernel lets others map registers that a driver has claimed only with iomem=relaxed.
# Offsets of the forward registers of the first and the second GDM; the value is bits 15:0.
GDMS=(0x500 0x1500)

enabled()
{
	local device
	device=$(board)
	# devmem needs /dev/mem, which not every kernel has.
	echo 1 >"$device/enable" && ln -sf "$device/resource0" /dev/mem
}

# forwards VALUE: what both registers have
forwards()
{
	local gdm
	for gdm in "${GDMS[@]}"; do
		equal "forward bits at $gdm" $(($(devmem "$gdm" 32) & 0xffff)) $(($1)) || return 1
	done
}

# to_cpu: the value of an Ethernet driver without offload; other bits stay
to_cpu()
{
	local gdm
	for gdm in "${GDMS[@]}"; do
		devmem "$gdm" 32 $(($(devmem "$gdm" 32) & 0xffff0000)) || return 1
	done
	forwards 0
}

check "the board is there" enabled
KEPT=()
for gdm in "${GDMS[@]}"; do
	KEPT+=("$(devmem "$gdm" 32)")
done
check "without the module all frames go to the CPU" to_cpu
load
check "the ruleset loads" ruleset hardware
check "a flow is offloaded" flow_offloaded f 5201 alone
check "both ways: under 1 % of the frames reach the router" few_reach_router f 400
offered_again()
{
	local gdm=() n refreshed rejected
	for n in "${!GDMS[@]}"; do
		gdm+=("$(devmem "${GDMS[n]}" 32)")
	done
	refreshed=$(stat_of refreshed) rejected=$(stat_of rejected)
	to_cpu && peer send f both 60 100 gap=50 || return 1
	for n in "${!GDMS[@]}"; do
		devmem "${GDMS[n]}" 32 "${gdm[n]}"
	done
	echo "refreshed: $refreshed, now $(stat_of refreshed)"
	[ "$(stat_of refreshed)" -gt "$refreshed" ] && equal rejected "$(stat_of rejected)" "$rejected" &&
		bound_is 2 && equal bound_total "$(stat_of bound_total)" 2
}
check "past the engine the kernel offers the flow again, and it is the same flow" offered_again
peer close f >/dev/null
nft delete table inet fw4
check "rmmod" rmmod nft_offload
check "all frames go to the CPU again" forwards 0
for n in "${!GDMS[@]}"; do
	devmem "${GDMS[n]}" 32 "${KEPT[n]}"
done
finish
