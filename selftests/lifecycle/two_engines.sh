#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --engines 2
# oracle: none
# Two engines, and one flowtable with the ports of both. Each engine has the flows between its
# own ports. A flow from one engine to the other stays in software. A fault of one engine does not
# touch the flows of the other.
. "$(dirname "$0")/../lib/lib.sh"
# The test watches a flow for longer than the usual timeout.
# shellcheck disable=SC2034 # used by begin
FLOWTABLE_TIMEOUT=$((10 * SLOW))
begin 55

# --- both of them ----------------------------------------------------------------------------

# engine_with PORT: the debugfs directory of the engine that has it
engine_with()
{
	local status
	status=$(grep -ls "^port .* $1 " "$DEBUGFS"/*/status) && dirname "$status"
}
found()
{
	FIRST=$(engine_with lan) && SECOND=$(engine_with lan2) && [ "$FIRST" != "$SECOND" ] && ENGINE=$FIRST
}
# of N COMMAND…: about engine N
of()
{
	local ENGINE=$FIRST
	[ "$1" = 2 ] && ENGINE=$SECOND
	shift
	"$@"
}
ports() { grep "^port .* up flowtables=$1$" "$ENGINE/status" | awk '{ print $4 }' | xargs; }
# hardware N COUNT: engine N has so many entries, and the module knows them
hardware() { of "$1" bound_is "$2" && equal "entries in engine $1" "$(engine_bound "$1")" "$2"; }
audits_clean() { of 1 audit_clean && of 2 audit_clean; }
load_ruleset() { DEVICES="lan, wan, lan2, wan2" ruleset hardware; }

# --- a flow of each --------------------------------------------------------------------------

declare -A SENT=([f1]=0 [f2]=0)
# traffic FLOW COUNT: so many packets each way, and all arrive
traffic()
{
	SENT[$1]=$((SENT[$1] + $2))
	peer send "$1" both "$2" 100 gap=2
}
# back: packets of both flows bring their entries back
back() { traffic f1 1 && traffic f2 1 && hardware 1 2 && hardware 2 2; }
hw_frames()
{
	lab engine "$1" stats | awk '$1 ~ /^ports\..*\.hw_tx_frames$/ { n += $2 } END { print n + 0 }'
}
# by_hardware N: engine N forwards all packets of its flow
by_hardware()
{
	local before
	before=$(hw_frames "$1")
	traffic "f$1" 50 && equal "frames by engine $1" $(($(hw_frames "$1") - before)) 100
}
# counted FLOW DPORT: conntrack has counted all packets both ways, the first of each side included
counted()
{
	local packets=$((SENT[$1] + 1)) bytes=$((SENT[$1] * 128 + 33))
	wait_for 8 accounted_is udp "dport=$2" "$packets $bytes $packets $bytes"
}

check "the module has both engines" found
check "the first has its ports" equal ports "$(of 1 ports 0)" "lan wan"
check "the second has its ports" equal ports "$(of 2 ports 0)" "lan2 wan2"
check "the command shows both" equal engines "$(nft-offload status | grep -cE '^0000:.* running')" 2
check "a flowtable with the ports of both" load_ruleset
check "it has the ports of the first" equal ports "$(of 1 ports 1)" "lan wan"
check "it has the ports of the second" equal ports "$(of 2 ports 1)" "lan2 wan2"
check "a flow between ports of the first" peer open f1 udp lan "$WAN_HOST4" 5201
check "a flow between ports of the second" peer open f2 udp lan "$WAN2_HOST4" 5202
check "both are bound" wait_for 10 back
check "the first has its own flow" of 1 bound_is 2 ":5201"
check "the second has its own flow" of 2 bound_is 2 ":5202"
check "the first forwards it" by_hardware 1
check "the second forwards it" by_hardware 2
check "both audits are clean" audits_clean

# --- from one to the other -------------------------------------------------------------------

FAR=198.18.2.9 NEAR=192.0.2.9	# further addresses of the hosts, there at wan2 and here at lan
crossing()
{
	wan ip addr add $FAR/24 dev eth2 && lan ip addr add $NEAR/24 dev eth0 &&
		lan ip route add $FAR/32 via "$LAN_ROUTER4" src $NEAR && wan ip route add $NEAR/32 via "$WAN2_ROUTER4" &&
		lan ping -c 1 -w 5 $FAR
}
refused() { grep -E "^flow reason=foreign-egress .*:5203.* in=$1 out=$2" "$ENGINE/rejects"; }
software() { conntrack -L -p udp 2>/dev/null | grep "dport=5203" | grep -w OFFLOAD; }
check "there is a path from one engine to the other" crossing
check "a flow takes it" peer open x udp lan $FAR 5203
check "its packets arrive" peer send x both 20 100 gap=2
check "it is in the software flowtable" wait_for 3 software
check "the first engine refuses to send it to a port that it does not have" of 1 refused lan wan2
check "the second engine refuses the reverse direction" of 2 refused wan2 lan
check "each engine has only its own flow" eval "hardware 1 2 && hardware 2 2"
check "both audits are clean" audits_clean
peer close x >/dev/null

# --- one of them dies --------------------------------------------------------------------------

# The flow of the second engine has packets meanwhile, or it would end.
quarantined() { traffic f2 1 && [ "$(of 1 stat_of quarantined)" -gt 0 ]; }
total=$(of 2 stat_of bound_total)
check "the first engine dies" lab engine 1 fault dead on
check "the module quarantines it" wait_for 10 quarantined
check "the log says so once, of that engine" log_has 1 "nft_offload ${FIRST##*/}:.*does not answer any more"
check "the log says so of no other engine" log_has 1 'does not answer any more'
check "its flow goes on by CPU" traffic f1 20
check "the second goes on" by_hardware 2
check "its flow was bound all the time" equal bound_total "$(of 2 stat_of bound_total)" "$total"
check "its audit is clean" of 2 audit_clean
check "the first answers again" lab engine 1 fault dead off
check "both have their flows" wait_for 10 back
check "no flow was bound anew in the second" equal bound_total "$(of 2 stat_of bound_total)" "$total"

# --- one of them is pulled out -----------------------------------------------------------------

gone() { traffic f1 1 && not test -e "$SECOND"; }
total=$(of 1 stat_of bound_total)
check "the second engine is unplugged" lab unplug 2
check "its debugfs directory goes" wait_for 15 gone
check "its flow goes on by CPU" traffic f2 20
check "the first goes on" by_hardware 1
check "its flow was bound all the time" equal bound_total "$(of 1 stat_of bound_total)" "$total"
check "its audit is clean" of 1 audit_clean
# The slot becomes free some time after the kernel has removed the engine.
check "the second is plugged in" wait_for 10 lab plug 2
check "the module finds it" wait_for 10 found
check "the ruleset is loaded again" load_ruleset
check "both have their flows" wait_for 10 back
check "no count of the first flow was lost" counted f1 5201
check "no count of the second flow was lost" counted f2 5202
check "both audits are clean" audits_clean

# --- both go -----------------------------------------------------------------------------------

none_left()
{
	local number
	not test -e "$DEBUGFS" || return 1
	for number in 1 2; do
		lab engine $number stats | awk '
			/^ppe\.[0-9a-z]+\.bound / && $2 || /^ppe\.[0-9a-z]+\.enabled true/ { print; bad = 1 }
			END { exit bad || NR < 10 }' || return 1
	done
}
check "the module unloads with flows in both" rmmod nft_offload
check "no entry is left in either engine, and neither runs" none_left
check "both flows go on by CPU" eval "traffic f1 20 && traffic f2 20"
load
check "the module has both engines" found
check "the ruleset is loaded again" load_ruleset
check "both have their flows" wait_for 10 back
check "both audits are clean" audits_clean
peer close f1 >/dev/null
peer close f2 >/dev/null
check "both flows end" wait_for $((FLOWTABLE_TIMEOUT + 6)) eval "hardware 1 0 && hardware 2 0"
finish
