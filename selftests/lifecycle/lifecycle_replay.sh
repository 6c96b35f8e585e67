#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# The kernel remembers flowtables for drivers that come later, also one that could not be made
# and is freed, on a device that is gone. It offers that to the module, which must not look.
#
# It remembers one device for an address of a flowtable, and an address that was freed may come
# again. So the first one that fails is with a port: if the module took it, the kernel would write
# into what is freed, and crash. Others come before the next one fails, so that it is elsewhere.
# That the module does not look at the device that is gone, only a kernel with KASAN sees.
. "$(dirname "$0")/../lib/lib.sh"
begin 16 none

failing()
{
	local said
	said=$(nft -f - 2>&1 <<-END
		table inet stale {
			flowtable ft { hook ingress priority 0; devices = { $1 }; flags offload; }
		}
	END
	) && return 1
	echo "$said" | grep 'not supported'
}
# Of software, which are offered to no driver. A device is in one of a table only.
others()
{
	local n
	for n in 1 2 3 4 5 6 7 8; do
		nft "add table inet other$n; add flowtable inet other$n ft {
			hook ingress priority 0; devices = { dummy0 }; }" || return 1
	done
}
others_go()
{
	local n
	for n in 1 2 3 4 5 6 7 8; do
		nft delete table inet "other$n" || return 1
	done
}
again()
{
	rmmod nft_offload && load
}

modprobe dummy numdummies=0
check "a flowtable with a port cannot be made without the module" failing lan
check "there is a device that no driver offloads" ip link add dummy0 type dummy
check "other flowtables come" others
check "one with that device cannot be made" failing dummy0
check "the module comes, and is offered these" load
check "it takes none" flowtables_are 0
check "it says what is to be done" log_has 1 'a flowtable was there first: reload the ruleset'
check "the others go" others_go
check "the device goes" ip link del dummy0
check "the module comes once more" again
check "nothing is bound" bound_is 0
check "no flowtable" flowtables_are 0
check "a ruleset loads" ruleset hardware
check "and is offloaded" flow_offloaded f 5201
check "the audit is clean" audit_clean
check "the module goes" rmmod nft_offload
finish
