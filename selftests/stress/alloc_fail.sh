#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# oracle: none
# Allocations fail: in each operation of the module the first, second, … allocation fails, until
# none does. The module then refuses the operation and leaves nothing behind, or does without the
# memory, and the next try works.
. "$(dirname "$0")/../lib/lib.sh"

FAULTS="/sys/kernel/debug/failslab /sys/kernel/debug/fail_page_alloc"
# shellcheck disable=SC2086 # words
ls -d $FAULTS >/dev/null 2>&1 || skip_test "this kernel has no CONFIG_FAILSLAB: make check-debug has one"
begin 15 none
exec 5>&1	# for notes inside of a point

# Only allocations with a module's code on the stack fail. On x86 modules are between the kernel's
# image and this address, and ours is the only one there.
modules_begin=0x$(awk '$3 == "_end" { print $1 }' /proc/kallsyms)
modules_end=0xffffffffff000000
PLENTY=1000000
DRIVER=/sys/bus/pci/drivers/nft_offload
BOARD=$(board)
for dir in $FAULTS; do
	echo 0 >"$dir/verbose"
	echo N >"$dir/ignore-gfp-wait"
	echo 32 >"$dir/stacktrace-depth"
	echo "$modules_begin" >"$dir/require-start"
	echo "$modules_end" >"$dir/require-end"
done
echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
# Each step begins with a line in the log; the kernel must not drop one.
echo on >/proc/sys/kernel/printk_devkmsg

# There are many steps, and this kernel takes longer to start a program than the step itself
# takes. So the steps use the shell's own commands where they can.

# count_failed: FAILED is how many allocations failed since the last call, by what is left of PLENTY
count_failed()
{
	local dir left
	FAILED=0
	for dir in $FAULTS; do
		read -r left <"$dir/times"
		FAILED=$((FAILED + PLENTY - left))
		echo $PLENTY >"$dir/times"
	done
}

# without N COMMAND…: the Nth allocation of COMMAND fails. The shell's children do not inherit
# that: a program needs `exec`.
without()
(
	echo "$1" >/proc/self/fail-nth || exit
	shift
	"$@"
)
put() { echo "$1" >"$2"; }

# sweep WHAT STEP [LEAST]: calls STEP N for N = 1, 2, … until no allocation fails in it. At least
# LEAST (1) have to fail. STEP succeeds if everything is as it should be.
sweep()
{
	local n=0 from=$SECONDS
	count_failed
	while n=$((n + 1)); do
		MARK="lab: $1 without allocation $n"
		echo "$MARK" >/dev/kmsg
		if ! "$2" $n >"$OUT.step" 2>&1; then
			echo "without allocation $n:"
			cat "$OUT.step"
			said | tail -n 20
			return 1
		fi
		count_failed
		[ "$FAILED" = 0 ] && break
		[ $n -lt 500 ] || return 1
	done
	note "$1: $((n - 1)) allocations, $((SECONDS - from)) s" >&5
	[ $n -gt "${3-1}" ] || { echo "no allocation failed in $1: the filter is wrong"; return 1; }
}

# said: the log since the step began
said() { dmesg | sed -n "/$MARK\$/,\$p"; }

# complained: the module, or the kernel on its behalf, said why
complained() { said | grep -E 'nft_offload .*fail'; }

# at_rest: nothing is bound in the engine, and it does not run: it would read and write memory that
# has another owner by now
at_rest()
{
	local stats
	stats=$(lab engine stats) || return
	[[ $stats = *.enabled\ * ]] || { echo "the engine says nothing of its PPEs"; return 1; }
	if [[ $stats =~ ppe\.[0-9a-z]+\.(enabled true|bound [1-9][0-9]*) ]]; then
		echo "the engine has ${BASH_REMATCH[0]}"
		return 1
	fi
}

gone() { not test -e /sys/module/nft_offload && not test -e "$DEBUGFS" && at_rest; }

attached() { compgen -G '/sys/bus/pci/drivers/nft_offload/0000:*'; }

# The driver core could not create links in sysfs; it calls that an invalid argument.
links_missing() { said | grep 'failed to create module links for nft_offload'; }

# The module loads or does not. The kernel does not offer it an engine yet.
load_without()
{
	if without "$1" exec insmod "$MODULE" 2>"$OUT.err"; then
		rmmod nft_offload || return 1
	else
		cat "$OUT.err"
		grep -qi 'cannot allocate memory' "$OUT.err" || links_missing || return 1
	fi
	gone
}

# The module takes the engine, or the log says why not. Files in debugfs may be missing: the module
# takes the engine without them.
probe_without()
{
	if without "$1" put "${BOARD##*/}" "$DRIVER/bind" 2>"$OUT.err"; then
		attached && echo "${BOARD##*/}" >"$DRIVER/unbind" || return 1
	else
		cat "$OUT.err"
		complained || return 1
	fi
	not attached && not compgen -G "$DEBUGFS/*" && at_rest
}

# For ruleset(): only requests of nft fail.
FAULT=0
nft() { without "$FAULT" exec nft "$@"; }

bind_without()
{
	FAULT=$1
	ruleset hardware 2>"$OUT.err"
	local status=$?
	FAULT=0
	cat "$OUT.err"
	if [ $status = 0 ]; then
		nft delete table inet fw4 || return 1
	else
		grep -qiE 'not supported|cannot allocate memory' "$OUT.err" || return 1
	fi
	flowtables_are 0 && engine_bound_is 0
}

# A filter of tc stays in software if the module has no memory for it.
rule_without()
{
	without "$1" exec tc qdisc add dev lan clsact 2>"$OUT.err" || tc qdisc add dev lan clsact || return 1
	without "$1" exec tc filter add dev lan ingress prio 1 handle 1 protocol all flower \
		dst_mac "$WAN_HOST_MAC" src_mac "$LAN_HOST_MAC" action mirred egress redirect dev wan || return 1
	tc filter show dev lan ingress | grep -w in_hw
	tc qdisc del dev lan clsact && not grep -E '^ALL +lan ' /proc/net/ptype && not grep '^port' "$ENGINE/bridge"
}

# Any worker of the kernel may offer a direction.
workers_without()
{
	local task name
	for task in /proc/[0-9]*; do
		read -r name 2>/dev/null <"$task/comm" || continue
		[ "${name#kworker}" = "$name" ] || echo "$1" >"$task/fail-nth"
	done 2>/dev/null
}

replace_without()
{
	local port=$((5300 + $1))
	workers_without "$1"
	peer open w udp lan "$WAN_HOST4" $port && peer send w both 3 100 || return 1
	sleep 1
	workers_without 0
	# The flow goes on whatever happened to its rule, and is in hardware sooner or later.
	offloaded w $port && peer close w && nft delete table inet fw4 && none_bound &&
		ruleset hardware
}

# A file can be read, or the read fails for lack of memory.
files_without()
{
	local file
	for file in status bind entries stats rejects policy; do
		without "$1" exec cat "$ENGINE/$file" >/dev/null 2>"$OUT.err" ||
			grep -i 'cannot allocate memory' "$OUT.err" || { echo "$file"; return 1; }
	done
}

# write_without N LINE FILE
write_without()
{
	if ! without "$1" put "$2" "$ENGINE/$3" 2>"$OUT.err"; then
		cat "$OUT.err"
		grep -qi 'cannot allocate memory' "$OUT.err"
	fi
}
policy_without() { write_without "$1" 'ipv6 1' policy; }
flush_without() { write_without "$1" all flush; }

unload_without()
{
	[ -d /sys/module/nft_offload ] || load
	ruleset hardware && peer open u udp lan "$WAN_HOST4" 5290 && offloaded u 5290 || return 1
	without "$1" exec rmmod nft_offload && gone && peer send u both 3 100 && peer close u && nft delete table inet fw4
}

echo "lab: memory is missing on purpose" >/dev/kmsg
echo 0 >/sys/bus/pci/drivers_autoprobe
check "the module loads, or leaves nothing" sweep insmod load_without
[ ! -d /sys/module/nft_offload ] || rmmod nft_offload
insmod "$MODULE"
check "it takes the engine, or the log says why not" sweep probe probe_without
rmmod nft_offload
echo 1 >/sys/bus/pci/drivers_autoprobe
load
check "a flowtable is taken or refused" sweep "a flowtable" bind_without
check "the next flowtable is taken" ruleset hardware
check "a flow is offloaded in it" flow_offloaded f 5201
peer close f >/dev/null
# A flow needs no memory.
check "a flow is offloaded or stays in software" sweep "a flow's rules" replace_without 0
check "files are read" sweep "files" files_without
check "the policy is written" sweep policy policy_without
check "flows are flushed" sweep flush flush_without
nft delete table inet fw4
check "a filter of tc is taken or refused" sweep "a filter of tc" rule_without
check "no memory leaked with the module loaded" "$here/leaks"
rmmod nft_offload
check "the module unloads with flows in hardware" sweep rmmod unload_without 0
echo "lab: memory is there again" >/dev/kmsg
[ ! -d /sys/module/nft_offload ] || rmmod nft_offload
check "no memory leaked without the module" "$here/leaks"
load
check "after all this the module takes a flowtable" ruleset hardware
check "a flow is offloaded" flow_offloaded f 5201
peer close f >/dev/null
# Without Call Trace: the kernel prints one for each allocation that failed.
log_clean()
{
	! dmesg | tail -n +$((LOG_START + 1)) | grep -E 'BUG:|WARNING:|Oops|refcount_t|general protection|KASAN|UBSAN'
}
finish
