#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A port loses its link: its flows leave the hardware, and come back with the link.
. "$(dirname "$0")/../lib/lib.sh"
begin 12

check "the ruleset loads" ruleset hardware
check "a flow is offloaded" flow_offloaded f 5201 alone
check "traffic runs" peer stream f both 20 100
check "the wan port is set down" ip link set wan down
check "nothing is bound" wait_for 5 none_bound
check "the audit is clean" audit_clean
check "the wan port is set up" ip link set wan up
# The kernel removed the IPv6 address of the port that was down.
ip -6 addr replace "$WAN_ROUTER6/64" dev wan
warm_up
check "the flow is offloaded again, by its own traffic" wait_for 10 bound_is 2
check "the audit is clean" audit_clean
peer halt f >/dev/null
check "traffic passes" wait_for 8 peer send f both 3 100
check "the flow stays offloaded" offloaded f ""
peer close f >/dev/null
check "nothing stays bound" wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
finish
