#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# oracle: none
# A kernel that is locked down: debugfs cannot be written any more, and sysfs controls the engine
# as before. A kernel keeps its lockdown until it ends, so the test has a router of its own.
. "$(dirname "$0")/../lib/lib.sh"
begin 21

LOCKDOWN=/sys/kernel/security/lockdown
SYSFS=/sys/bus/pci/devices/$(basename "$ENGINE")/nft_offload

# holds FILE TEXT
holds()
{
	equal "$1" "$(cat "$SYSFS/$1")" "$2"
}

# put FILE TEXT
put()
{
	echo "$2" >"$SYSFS/$1"
}

# no_put ERROR FILE TEXT: the write fails with that error
no_put()
{
	local said
	said=$(LC_ALL=C sh -c 'echo "$2" >"$1"' sh "$2" "$3" 2>&1) && return 1
	echo "$said" | grep "$1"
}

same_policy()
{
	local key value
	while read -r key value; do
		equal "$key" "$(cat "$SYSFS/$key")" "$value" || return 1
	done <"$ENGINE/policy"
}

lock_down()
{
	[ -e "$LOCKDOWN" ] || mount -t securityfs securityfs /sys/kernel/security || return 1
	echo integrity >"$LOCKDOWN" && grep -F '[integrity]' "$LOCKDOWN"
}

flowtable_timeout 30
check "the ruleset loads" ruleset hardware
check "a flow is offloaded" flow_offloaded f 5201
check "sysfs has each key of the policy, with its value" same_policy
check "the kernel is locked down" lock_down

check "debugfs can be read" grep -q '^engine: running' "$ENGINE/status"
check "debugfs cannot be written" no_put "not permitted" "$ENGINE/pause" 1
check "sysfs says that the engine runs" holds engine running
check "sysfs does not take what debugfs would not" no_put "Invalid argument" "$SYSFS/pause" 2
check "nor a policy without sense" no_put "Invalid argument" "$SYSFS/ipv4" 2

check "sysfs pauses the engine" put pause 1
check "it is paused" holds pause 1
check "status says so" grep -q '^paused: 1' "$ENGINE/status"
check "sysfs ends the flows" put flush all
check "they are gone" bound_is 0
check "sysfs ends the pause" put pause 0
check "sysfs changes the policy" put reserve 100
check "it has changed" holds reserve 100
check "a new flow is offloaded" flow_offloaded g 5202

cli() { busybox ash /usr/bin/nft-offload "$@"; }
check "nft-offload shows the policy" eval 'cli status | grep "reserve 100"'
check "nft-offload changes it" eval 'cli policy reserve 0 && holds reserve 0'
check "nft-offload ends the flows" eval 'cli flush all && bound_is 0'

finish
