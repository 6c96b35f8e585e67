#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# The kernel remembers flowtables for drivers that come later, also one that could not be made
# and is freed, on a device that is gone. It offers that to the module, which must not look.
. "$(dirname "$0")/lib.sh"
begin 15 none

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
again()
{
	rmmod nft_offload && load
}

modprobe dummy numdummies=0
check "there is a device that no driver offloads" ip link add dummy0 type dummy
check "a flowtable with it cannot be made" failing dummy0
check "nor one with a port, without the module" failing lan
check "the module comes, and is offered these" load
check "it takes none" equal flowtables "$(sed -n 's/^flowtables: //p' "$ENGINE/status")" 0
check "it says what is to be done" log_has 1 'a flowtable was there first: reload the ruleset'
check "the device goes" ip link del dummy0
check "the module comes once more" again
check "nothing is bound" bound_is 0
check "no flowtable" equal flowtables "$(sed -n 's/^flowtables: //p' "$ENGINE/status")" 0
check "a ruleset loads" ruleset hardware
peer open f udp lan "$WAN_HOST4" 5201 >/dev/null
check "and is offloaded" offloaded f ":5201"
check "the audit is clean" audit_clean
check "the module goes" rmmod nft_offload
check "the log is clean" log_clean
finish
