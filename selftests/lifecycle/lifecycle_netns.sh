#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# oracle: none
# The ports go to a network namespace that has its own flowtable. The namespace is deleted while
# a flow runs in hardware, and the ports come back to where a flowtable waits for them. The
# module hears of these devices late or not at all, and still leaves nothing behind.
. "$(dirname "$0")/../lib/lib.sh"
begin 21

NS="ip netns exec router"
# ports_up [NS]: the addresses that the lab's router has
ports_up()
{
	local port
	for port in lan wan; do
		local net4=${port^^}_ROUTER4 net6=${port^^}_ROUTER6
		$1 sysctl -qw net.ipv6.conf.$port.accept_dad=0
		$1 ip link set $port up && $1 ip addr add "${!net4}/24" dev $port && $1 ip addr add "${!net6}/64" dev $port || return 1
	done
	$1 sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	wait_for 8 lan ping -c 1 -W 1 "$WAN_HOST4"
}
into_namespace()
{
	ip netns add router && ip link set lan netns router && ip link set wan netns router && ports_up "$NS"
}
ports_are()
{
	equal "ports" "$(sed -n 's/^port .* \(lan\|wan\) \(.*\)/\1 \2/p' "$ENGINE/status" | sort | xargs)" "$1"
}

check "the ruleset loads" ruleset hardware
check "a flow is in hardware" flow_offloaded f 5201
check "traffic runs" peer stream f both 20 100
check "the ports go to another namespace" into_namespace
check "no entry is left" engine_bound_is 0
check "the audit is clean" audit_clean
IN=$NS check "a flowtable there takes them" ruleset hardware
check "a flow is in hardware" wait_for 10 bound_is 2 ":5201"
check "the audit is clean" audit_clean
counts() { $NS conntrack -L -p udp 2>/dev/null | grep 'dport=5201' | grep HW_OFFLOAD; }
check "conntrack of that namespace knows it" wait_for 5 counts
check "traffic was forwarded" sh -c "[ $(stat_of packets) -gt 0 ]"

check "the namespace is deleted under the traffic" ip netns del router
both_back() { [ -e /sys/class/net/lan ] && [ -e /sys/class/net/wan ]; }
check "the ports come back" wait_for 20 both_back
check "no entry is left" engine_bound_is 0
check "the module knows no flow of the other namespace" wait_for 5 equal flows "$(audit_of flows)" 0
check "the audit is clean" audit_clean
check "the ports work" ports_up
check "they are in the flowtable that waited for them" ports_are "lan up flowtables=1 wan up flowtables=1"
check "there is no other flowtable" flowtables_are 1
check "the flow is in hardware" wait_for 10 bound_is 2 ":5201"
peer halt f >/dev/null
nft delete table inet fw4
check "no entry is left" engine_bound_is 0
finish
