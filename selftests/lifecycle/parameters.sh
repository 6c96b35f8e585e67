#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The module's parameters set the policy with which an engine begins. An open file of the engine
# keeps the module loaded.
. "$(dirname "$0")/../lib/lib.sh"
begin 14 none

again()
{
	nft flush ruleset
	[ ! -d /sys/module/nft_offload ] || rmmod nft_offload || return 1
	load "$@" && ruleset hardware
}

# refused REASON DST: a flow to DST is refused, and goes on
refused()
{
	conntrack -F >/dev/null 2>&1
	peer open f udp lan "$2" 5201 && peer send f both 5 100 || return 1
	wait_for 3 sh -c "[ \$(awk '\$1 == \"$1\" { print \$2 }' $ENGINE/rejects) -gt 0 ]" || return 1
	peer close f && bound_is 0
}

taken()
{
	conntrack -F >/dev/null 2>&1
	peer open f udp lan "$1" 5201 && offloaded f 5201 && peer close f
}

no_rmmod()
{
	local said
	nft flush ruleset
	exec 9<"$ENGINE/flows"
	said=$(rmmod nft_offload 2>&1)
	echo "$said"
	exec 9<&-
	[ -d /sys/module/nft_offload ] && echo "$said" | grep -q 'in use'
}

check "the module loads without IPv4" again ipv4=0
check "the file policy says so" grep -x "ipv4 0" "$ENGINE/policy"
check "IPv4 stays in software" refused family-off "$WAN_HOST4"
check "IPv6 is offloaded" taken "$WAN_HOST6"
check "the module loads without IPv6" again ipv6=0
check "IPv6 stays in software" refused family-off "$WAN_HOST6"
check "IPv4 is offloaded" taken "$WAN_HOST4"
entries=$(awk '$1 == "entries:" { print $2 }' "$ENGINE/status")
check "the module loads with all entries reserved" again "reserve=$entries"
check "the table is full from the start" refused table-full "$WAN_HOST4"
check "the file policy reserves fewer" sh -c "echo reserve 1 >$ENGINE/policy"
check "the table has room" taken "$WAN_HOST4"
nft flush ruleset
rmmod nft_offload
check "a value that is no number is refused" not insmod "$MODULE" ipv4=off
check "the module loads without parameters" again
check "an open file keeps the module loaded" no_rmmod
finish
