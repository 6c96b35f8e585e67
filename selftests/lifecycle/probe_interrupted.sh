#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --append slab_nomerge
# oracle: none
# A probe that fails: the engine stops answering at the first, second, … access or stays busy,
# insmod is killed, or another driver has the registers. Each time the probe ends soon, the log
# says why once, nothing is left behind, and the next probe succeeds. PROBE_STEP=1 tries each
# access; PROBE_KILLS= is the number of moments at which insmod is killed.
. "$(dirname "$0")/../lib/lib.sh"
. "$here/memory.sh"
begin 18 none

STEP=${PROBE_STEP-7} KILLS=${PROBE_KILLS-8}
needs_oracle
BOARD=$(board)

lines() { dmesg | wc -l; }
# said SINCE: lines of the module, or of the kernel, about the engine since then
said()
{
	dmesg | tail -n +$(($1 + 1)) | grep "nft_offload ${BOARD##*/}: " | grep -v 'probe with driver'
}
attached() { [ -e "$BOARD/driver" ]; }
dead() { lab engine stats | grep -q '^faults.dead true'; }
quarantined() { grep -q '^engine: quarantined' "$ENGINE/status"; }
running() { grep -q '^engine: running' "$ENGINE/status"; }

# no_engine: as if the module had never been loaded; the engine may access no memory
no_engine() { not attached && bus_master "$BOARD" 0 && not compgen -G "$DEBUGFS/*"; }
gone() { no_engine && not test -e "$DEBUGFS" && not grep nft_offload /proc/modules; }
# as_ever: the next probe succeeds
as_ever() { insmod "$MODULE" && find_engine && attached && running && rmmod nft_offload && gone; }
# took BEGIN MS: since BEGIN, at most
took()
{
	local ms=$(($(now_ms) - $1))
	echo "took $ms ms"
	[ $ms -le $(($2 * SLOW)) ]
}

# --- the engine stops answering --------------------------------------------------------------

FAILED=0 GIVEN_UP=0
# dies_at N: the engine dies at the Nth access
dies_at()
{
	local begin log
	log=$(lines)
	vppectl fault dead on "$1" >/dev/null || return 1
	begin=$(now_ms)
	insmod "$MODULE" && took "$begin" 2000 || return 1
	if ! attached; then
		FAILED=$((FAILED + 1))
		equal "lines that say why" "$(said "$log" | wc -l)" 1 && no_engine || { said "$log"; return 1; }
	elif dead; then
		# The probe was complete before.
		GIVEN_UP=$((GIVEN_UP + 1))
		find_engine && wait_for 5 quarantined &&
			equal "lines that say so" "$(said "$log" | grep -c 'does not answer any more')" 1 || return 1
	fi
	vppectl fault dead off >/dev/null && rmmod nft_offload && gone
}

all_steps()
{
	local n=1 before
	while
		before=$FAILED.$GIVEN_UP
		dies_at $n || { echo "at access $n"; return 1; }
		as_ever || { echo "after access $n"; return 1; }
		[ "$before" != $FAILED.$GIVEN_UP ]
	do
		n=$((n + STEP))
		[ $n -lt 1000 ] || return 1
	done
}
check "the module loads" as_ever
memory_before
check "whenever the engine dies, the module gives it up, and takes it when it is back" all_steps
vppectl fault dead off >/dev/null
[ ! -d /sys/module/nft_offload ] || rmmod nft_offload
note "by every ${STEP}th access: $FAILED probes failed, $GIVEN_UP engines were given up later"
check "the engine died in the probe" [ $((STEP * FAILED)) -gt 50 ]

# --- the engine stays busy --------------------------------------------------------------------

log=$(lines) begin=$(now_ms)
check "an engine is always busy" vppectl fault stuck-busy on
check "the module loads" insmod "$MODULE"
check "it has waited for some seconds at most" took "$begin" 6000
check "it has not taken the engine" no_engine
check "the log says why, once" equal lines "$(said "$log" | wc -l)" 1
rmmod nft_offload
vppectl fault stuck-busy off >/dev/null
check "the module takes the engine when it is well" as_ever

# --- insmod is killed ------------------------------------------------------------------

# killed_after US: the probe is complete by then, or is undone
killed_after()
{
	local pid
	insmod "$MODULE" &
	pid=$!
	usleep "$1"
	kill -9 $pid
	wait $pid
	[ ! -d /sys/module/nft_offload ] || rmmod nft_offload || return 1
	gone
}
killed()
{
	local n begin us
	begin=$(now_ms)
	insmod "$MODULE" || return 1
	us=$((1000 * ($(now_ms) - begin)))
	rmmod nft_offload
	for n in $(seq "$KILLS"); do
		killed_after $((us * n / KILLS)) && as_ever || { echo "after $((us * n / KILLS)) of $us us"; return 1; }
	done 2>/dev/null
}
killed_while_waiting()
{
	local begin
	vppectl fault stuck-busy on || return 1
	begin=$(now_ms)
	killed_after 500000 && took "$begin" 8000 && vppectl fault stuck-busy off && as_ever
}
check "insmod is killed, sooner or later" killed
check "insmod is killed while it waits for the engine" killed_while_waiting
memory_is_back "after all these" $((2 * KILLS))

# --- another driver has the registers ---------------------------------------------------------------

check "another driver claims the registers" insmod "$ORACLE" claim=1
log=$(lines)
check "the module loads" insmod "$MODULE"
check "it does not take the engine" no_engine
check "the log says so, once" equal "lines about registers" "$(said "$log" | grep -c "can't reserve")" 1
rmmod nft_offload
rmmod nft_offload_oracle
check "it takes the engine when the registers are free" as_ever
load
check "then no other driver gets the registers" not insmod "$ORACLE" claim=1
finish
