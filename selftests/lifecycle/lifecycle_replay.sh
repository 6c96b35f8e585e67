#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# The kernel remembers flowtables for drivers that are loaded later. It also remembers a flowtable
# that it could not create and has freed, with a device that is gone. It offers that flowtable to
# the module, which must not touch it.
#
# The kernel remembers one device for each address of a flowtable, and may use a freed address
# again. So the first flowtable that fails has a port: if the module took it, the kernel would
# write into freed memory, and crash. Other flowtables come before the next one fails, so that it
# has another address. Only a kernel with KASAN sees whether the module touches the device that
# is gone.
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
# Software flowtables, which the kernel offers to no driver. A table can have a device in one
# flowtable only.
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
again() { rmmod nft_offload && load; }

modprobe dummy numdummies=0
check "without the module a flowtable with a port fails" failing lan
check "there is a device that no driver offloads" ip link add dummy0 type dummy
check "other flowtables are created" others
check "a flowtable with that device fails" failing dummy0
check "the module is loaded, and the kernel offers it these" load
check "it takes none" flowtables_are 0
check "the log says what to do" log_has 1 'a flowtable was there first: reload the ruleset'
check "the other flowtables go" others_go
check "the device goes" ip link del dummy0
check "the module is loaded once more" again
check "nothing is bound" bound_is 0
check "it has taken no flowtable" flowtables_are 0
check "a ruleset loads" ruleset hardware
check "a flow is offloaded" flow_offloaded f 5201
check "the audit is clean" audit_clean
check "the module goes" rmmod nft_offload
finish
