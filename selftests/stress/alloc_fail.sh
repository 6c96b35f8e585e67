#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# oracle: none
# Memory that is not there: of each thing that is asked of the module, the first, second, …
# allocation fails, until none does. What cannot be done then is refused and leaves nothing
# behind, and the next try works.
. "$(dirname "$0")/../lib/lib.sh"

FAULTS="/sys/kernel/debug/failslab /sys/kernel/debug/fail_page_alloc"
# shellcheck disable=SC2086 # words
ls -d $FAULTS >/dev/null 2>&1 || skip_test "this kernel has no CONFIG_FAILSLAB: make check-debug has one"
begin 15 none
exec 5>&1	# for what a point says besides

# Only what is allocated with a module's code on the stack fails; the modules of the x86
# are between the kernel's image and this address, and there is only ours.
modules_begin=0x$(awk '$3 == "_end" { print $1 }' /proc/kallsyms)
modules_end=0xffffffffff000000
PLENTY=1000000
DRIVER=/sys/bus/pci/drivers/nft_offload
BOARD=$(grep -l 0x10f7 /sys/bus/pci/devices/*/device | head -n 1)
BOARD=${BOARD%/device}
for dir in $FAULTS; do
	echo 0 >"$dir/verbose"
	echo N >"$dir/ignore-gfp-wait"
	echo 32 >"$dir/stacktrace-depth"
	echo "$modules_begin" >"$dir/require-start"
	echo "$modules_end" >"$dir/require-end"
done
echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
# Each step begins with a line in the log; none is to be left out.
echo on >/proc/sys/kernel/printk_devkmsg

# There are many steps, and to start a program takes this kernel longer than what is tested:
# they do with the shell's own commands where they can.

# FAILED: how many have failed since the last call; what is left of PLENTY says so
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

# without N COMMAND…: the Nth allocation of COMMAND fails. That does not hold for the shell's
# children: a program needs `exec`.
without()
(
	echo "$1" >/proc/self/fail-nth || exit
	shift
	"$@"
)
put()
{
	echo "$1" >"$2"
}

# sweep WHAT STEP [LEAST]: calls STEP N for N = 1, 2, … until nothing fails in it, which is
# not before LEAST (1) have. STEP succeeds if all is as it should be.
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
said()
{
	dmesg | sed -n "/$MARK\$/,\$p"
}

# complained: the module, or the kernel on its behalf, said why
complained()
{
	said | grep -E 'nft_offload .*fail'
}

# at_rest: nothing is bound in the engine, and it is not at work: it would read and write
# memory that is somebody else's by now
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

gone()
{
	not test -e /sys/module/nft_offload && not test -e "$DEBUGFS" && at_rest
}

attached()
{
	compgen -G '/sys/bus/pci/drivers/nft_offload/0000:*'
}

# Links in sysfs could not be made: the driver core calls that an invalid argument.
links_missing()
{
	said | grep 'failed to create module links for nft_offload'
}

# The module loads or does not; no engine is offered to it yet.
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

# The engine is taken, or the module has said why not. Files in debugfs may be missing: they
# are no reason to do without the engine.
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

# What ruleset() calls: only nft's own requests are to fail.
FAULT=0
nft()
{
	without "$FAULT" exec nft "$@"
}

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

# A rule of tc that hardware does not take for want of memory is software's.
rule_without()
{
	without "$1" exec tc qdisc add dev lan clsact 2>"$OUT.err" || tc qdisc add dev lan clsact || return 1
	without "$1" exec tc filter add dev lan ingress prio 1 handle 1 protocol all flower \
		dst_mac "$WAN_HOST_MAC" src_mac "$LAN_HOST_MAC" action mirred egress redirect dev wan || return 1
	tc filter show dev lan ingress | grep -w in_hw
	tc qdisc del dev lan clsact && not grep -E '^ALL +lan ' /proc/net/ptype && not grep '^port' "$ENGINE/bridge"
}

# Both directions are told to whichever worker of the kernel's comes first.
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
	# Whatever happened to the rule, the flow lives, and is in hardware sooner or later.
	offloaded w $port && peer close w && nft delete table inet fw4 && bound_is 0 && engine_bound_is 0 &&
		ruleset hardware
}

# A file is read, or cannot be for want of memory.
files_without()
{
	local file
	for file in status bind entries stats rejects policy; do
		without "$1" exec cat "$ENGINE/$file" >/dev/null 2>"$OUT.err" ||
			grep -i 'cannot allocate memory' "$OUT.err" || { echo "$file"; return 1; }
	done
}

# writes LINE FILE
write_without()
{
	if ! without "$1" put "$2" "$ENGINE/$3" 2>"$OUT.err"; then
		cat "$OUT.err"
		grep -qi 'cannot allocate memory' "$OUT.err"
	fi
}
policy_without()
{
	write_without "$1" 'ipv6 1' policy
}
flush_without()
{
	write_without "$1" all flush
}

unload_without()
{
	[ -d /sys/module/nft_offload ] || load
	ruleset hardware && peer open u udp lan "$WAN_HOST4" 5290 && offloaded u 5290 || return 1
	without "$1" exec rmmod nft_offload && gone && peer send u both 3 100 && peer close u && nft delete table inet fw4
}

echo "lab: memory is missing on purpose" >/dev/kmsg
echo 0 >/sys/bus/pci/drivers_autoprobe
check "it loads, or is not there" sweep insmod load_without
[ ! -d /sys/module/nft_offload ] || rmmod nft_offload
insmod "$MODULE"
check "it takes the engine, or says why not" sweep probe probe_without
rmmod nft_offload
echo 1 >/sys/bus/pci/drivers_autoprobe
load
check "a flowtable is taken, or refused" sweep "a flowtable" bind_without
check "and the next one is taken" ruleset hardware
check "a flow is offloaded in it" flow_offloaded f 5201
peer close f >/dev/null
# Nothing of it needs memory.
check "a flow is offloaded, or stays in software" sweep "a flow's rules" replace_without 0
check "files are read" sweep "files" files_without
check "the policy is written" sweep policy policy_without
check "flows are flushed" sweep flush flush_without
nft delete table inet fw4
check "a rule of tc is taken, or refused" sweep "a rule of tc" rule_without
check "no memory was lost, with the module loaded" "$here/leaks"
rmmod nft_offload
check "it unloads with flows in hardware" sweep rmmod unload_without 0
echo "lab: memory is there again" >/dev/kmsg
[ ! -d /sys/module/nft_offload ] || rmmod nft_offload
check "no memory was lost, without it" "$here/leaks"
load
check "after all that it takes a flowtable" ruleset hardware
check "and offloads" flow_offloaded f 5201
peer close f >/dev/null
# Traces of memory that was missing aside.
log_clean()
{
	! dmesg | tail -n +$((LOG_START + 1)) | grep -E 'BUG:|WARNING:|Oops|refcount_t|general protection|KASAN|UBSAN'
}
finish
