#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A flow that passes a device with a shaper stays in software, so that the shaper sees its
# packets; other flows are offloaded. The shaper is at the port, at a VLAN or PPP device above
# it, or at an IFB for packets that arrive, and it comes and goes.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/bridged.sh"
KINDS=(cake htb hfsc tbf netem prio)
begin $((2 + 4 * ${#KINDS[@]} + 3 + 3 + 8 + 6 + 10 + 8 + 7))

# --- what is shaped ----------------------------------------------------------------------

TBF=(tbf rate 50mbit burst 64k latency 100ms)
# shape DEV KIND
shape()
{
	local dev=$1
	case $2 in
	# It drops packets that wait for a twentieth of this; on a kernel with checks packets do.
	cake) tc qdisc replace dev "$dev" root cake bandwidth 50mbit rtt 10s ;;
	htb) tc qdisc replace dev "$dev" root handle 1: htb default 1 &&
		tc class add dev "$dev" parent 1: classid 1:1 htb rate 50mbit ;;
	hfsc) tc qdisc replace dev "$dev" root handle 1: hfsc default 1 &&
		tc class add dev "$dev" parent 1: classid 1:1 hfsc sc rate 50mbit ul rate 50mbit ;;
	tbf) tc qdisc replace dev "$dev" root "${TBF[@]}" ;;
	netem) tc qdisc replace dev "$dev" root netem rate 50mbit limit 10000 ;;
	# A qdisc below it shapes.
	prio) tc qdisc replace dev "$dev" root handle 1: prio && tc qdisc add dev "$dev" parent 1:2 "${TBF[@]}" ;;
	esac
}

unshape() { tc qdisc del dev "$1" root; }

# shaped_packets DEV: how many packets passed its root qdisc
shaped_packets() { tc -s qdisc show dev "$1" root | awk '/ Sent / { print $4; exit }'; }

now() { awk '{ print $1 * 100 }' /proc/uptime; }

# --- what is bound -----------------------------------------------------------------------

# bound_are UP DOWN [DPORT]: how many entries of the flow to that port are bound, for packets
# that the lan sends and for packets that it gets
bound_are()
{
	equal "bound of what the lan sends to ${3-5201}" "$(bound "orig=[^ ]*:${3-5201} ")" "$1" &&
		equal "bound of what it gets from there" "$(bound "orig=[^ ]*:${3-5201}->")" "$2"
}

# become FLOW UP DOWN [DPORT]: the same after some traffic; HUNDREDTHS is the time it took, in
# hundredths of a second
become()
{
	local begun n
	begun=$(now)
	for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
		if bound_are "$2" "$3" ${4+"$4"} >/dev/null; then
			HUNDREDTHS=$(($(now) - begun))
			echo "after $HUNDREDTHS hundredths of a second"
			return 0
		fi
		peer send "$1" both 2 100 || return 1
		usleep 150000
	done
	bound_are "$2" "$3" ${4+"$4"}
	cat "$ENGINE/bind"
	awk '$2 != 0' "$ENGINE/rejects"
	return 1
}

# stay FLOW UP DOWN [DPORT]: the same for longer than two scans for shapers take
stay()
{
	local n
	for n in 1 2 3 4 5 6; do
		peer send "$1" both 2 100 && bound_are "$2" "$3" ${4+"$4"} || return 1
		usleep 400000
	done
}

# within_2s COMMAND…: and the little time that the test itself takes
within_2s() { "$@" && [ "$HUNDREDTHS" -le 240 ]; }

refused_more() { [ "$(reject_of shaped-egress)" -gt "$1" ]; }

# passes DEV FLOW up|down: each frame passes the shaper
passes()
{
	local before
	before=$(shaped_packets "$1")
	if ! peer send "$2" "$3" 60 200 gap=1; then
		tc -s qdisc show dev "$1"
		return 1
	fi
	echo "$(($(shaped_packets "$1") - before)) of 60 packets passed $1"
	[ $(($(shaped_packets "$1") - before)) -ge 60 ]
}

# bypasses DEV FLOW up|down: no frame passes the shaper
bypasses()
{
	local before
	before=$(shaped_packets "$1")
	peer send "$2" "$3" 60 200 gap=1 || return 1
	echo "$(($(shaped_packets "$1") - before)) of 60 packets passed $1"
	[ $(($(shaped_packets "$1") - before)) -le 10 ]
}

exact_to() { exact udp "dport=$2" lan "proto=udp dst=$1 dport=$2" wan "proto=udp src=$1 sport=$2"; }

# --- at the port -------------------------------------------------------------------------

flowtable_timeout 30
modprobe -a sch_cake sch_htb sch_hfsc sch_tbf sch_netem sch_prio sch_fq_codel
peer capture >/dev/null
ruleset hardware
check "a flow opens" peer open f udp lan "$WAN_HOST4" 5201
check "it is offloaded" offloaded f :5201
for kind in "${KINDS[@]}"; do
	shape wan "$kind"
	count=$(reject_of shaped-egress)
	check "$kind: packets that leave by the wan are in software within 2 s, packets that arrive are not" within_2s become f 0 1
	check "$kind: the module refuses the flow as shaped-egress" wait_for 3 eval \
		"peer send f up 1 100 && refused_more $count"
	check "$kind: its packets pass the shaper" passes wan f up
	unshape wan
	check "$kind: without it both directions are offloaded again" become f 1 1
done
tc qdisc replace dev wan root fq_codel
check "fq_codel is no shaper: both directions stay offloaded" stay f 1 1
unshape wan
check_counts "conntrack's counts are exact after all this" exact_to "$WAN_HOST4" 5201
check "the log names the device, once" log_has 1 'nft_offload .*: wan has a shaping qdisc \(cake\)'
dmesg | grep 'shaping qdisc' | while read -r line; do note "$line"; done

nft delete table inet fw4
shape wan cake
ruleset hardware
check "a shaper that was there first: packets that leave are not offloaded" become f 0 1
check "they are not offloaded later" stay f 0 1
unshape wan
check "they are when the shaper is gone" become f 1 1

# --- by policy -------------------------------------------------------------------------------

policy() { echo "refuse_shaped $1" >"$ENGINE/policy" && grep -x "refuse_shaped $1" "$ENGINE/policy"; }
shape wan cake
check "a shaper: packets that leave are in software" become f 0 1
check "without the policy they are in hardware" eval 'policy 0 && become f 1 1'
check "there they bypass the shaper" bypasses wan f up
check "with the policy they are in software as soon as it is written" eval 'policy 1 && bound_are 0 1'
nft delete table inet fw4
peer close f >"$OUT"
rmmod nft_offload
LOG_START=$(dmesg | wc -l)
load refuse_shaped=0
conntrack -F >/dev/null 2>&1
peer capture >"$OUT"
ruleset hardware
check "without the policy, by parameter, the flow is in hardware" eval "peer open f udp lan $WAN_HOST4 5201 && become f 1 1"
check "the log does not mention it" log_has 0 'shaping qdisc'
check "with the policy, by file, it is in software" eval 'policy 1 && become f 0 1'
unshape wan
check "it is back when the shaper is gone" become f 1 1

# --- packets that arrive, through an IFB -----------------------------------------------------

modprobe -a ifb sch_ingress cls_matchall act_mirred
ip link add ifb-wan type ifb
ip link set ifb-wan up
# Filters keep flows in software as well, for a reason of their own (path_hooks.sh).
echo refuse_tc_filters 0 >"$ENGINE/policy"
tc qdisc add dev wan handle ffff: ingress
tc filter add dev wan parent ffff: matchall action mirred egress redirect dev ifb-wan
check "an IFB that does not shape changes nothing" stay f 1 1
shape ifb-wan cake
check "an IFB that shapes: packets that arrive are in software within 2 s, packets that leave are not" within_2s become f 1 0
check "they pass the shaper" passes ifb-wan f down
check "the log names the device" log_has 1 'wan has filters for what arrives and ifb-wan a shaping qdisc \(cake\)'
tc qdisc del dev wan ingress
check "without it both directions are offloaded again" become f 1 1
ip link del ifb-wan
check_counts "conntrack's counts are exact" exact_to "$WAN_HOST4" 5201

# --- VLANs -----------------------------------------------------------------------------------

# vlan ID NET: a VLAN at the wan; the router is .1 there and the host .2
vlan()
{
	ip link add link wan name "wan.$1" type vlan id "$1" && ip link set "wan.$1" up &&
		ip addr add "$2.1/24" dev "wan.$1" && peer vlan wan "$1" "$2.2/24" &&
		wan ip route add "$LAN_HOST4" via "$2.1" src "$2.2" table "$1" &&
		wan ip rule add from "$2.2" table "$1" && lan ip route add "$2.2" via "$LAN_ROUTER4" &&
		lan ping -c 1 -w 5 "$2.2"
}
modprobe 8021q
check "a VLAN at the wan" vlan 20 198.51.100
check "a flow in it is offloaded" eval 'peer open v udp lan 198.51.100.2 5220 && offloaded v :5220'
shape wan.20 cake
check "a shaper at the VLAN device: packets that leave there are not offloaded" within_2s become v 0 1 5220
check "packets that leave by the port without the tag are offloaded" stay f 1 1
check "the log says that nf_flowtable bypasses it" log_has 1 'wan.20 has a shaping qdisc \(cake\).*nf_flowtable bypasses it as well'
check "nf_flowtable bypasses it in software" bypasses wan.20 v up
except()
{
	EXCEPT='iifname != "wan.20" oifname != "wan.20"' ruleset hardware && conntrack -F &&
		peer send v both 2 100 && become f 1 1 && bound_are 0 0 5220
}
check "a ruleset keeps that device out of the flowtable" except
check "then all packets pass the shaper" passes wan.20 v up
ruleset hardware
unshape wan.20
check "without it both directions are offloaded" become v 1 1 5220
shape wan tbf
check "a shaper at the port also shapes the VLAN" eval 'become v 0 1 5220 && become f 0 1'
unshape wan

# --- sessions of PPPoE -----------------------------------------------------------------------

SESSIONS=()
# session ID NET
session()
{
	local dev=eth0.p$1
	labagent pppoe wan "$1" "$WAN_HOST_MAC" &
	SESSIONS+=($!)
	wait_for 2 ip link set ppp$((${#SESSIONS[@]} - 1)) name "ppp-$1" mtu 1492 && ip link set "ppp-$1" up &&
		ip addr add "$2.1/24" dev "ppp-$1" && peer vlan wan "p$1" "$2.2/24" &&
		wan ip route add "$LAN_HOST4" via "$2.1" dev "$dev" src "$2.2" table "$1" &&
		wan ip rule add from "$2.2" table "$1" && lan ip route add "$2.2" via "$LAN_ROUTER4" &&
		wan ip neigh replace "$2.1" lladdr "$WAN_PORT_MAC" dev "$dev" && lan ping -c 1 -w 5 "$2.2"
}
modprobe -a pppoe ppp_generic
check "two sessions at the wan" eval 'session 7 198.18.7 && session 8 198.18.8'
check "a flow in each is offloaded" eval 'peer open p udp lan 198.18.7.2 5207 && offloaded p :5207 &&
	peer open q udp lan 198.18.8.2 5208 && offloaded q :5208'
shape ppp-7 cake
check "a shaper at the first: packets that leave there are not offloaded" within_2s become p 0 1 5207
check "packets that leave in the other session are offloaded" stay q 1 1 5208
check "packets that leave in no session are offloaded" stay f 1 1
check "the log names the device" log_has 1 'ppp-7 has a shaping qdisc \(cake\)'
check "nf_flowtable bypasses it in software" bypasses ppp-7 p up
unshape ppp-7
check "without it both directions are offloaded" become p 1 1 5207
for flow in v p q; do peer close $flow; done >"$OUT"
kill "${SESSIONS[@]}"
for name in wan.20 wan.p7 wan.p8; do peer unplug $name; done >"$OUT"
ip link del wan.20
for net in 198.51.100 198.18.7 198.18.8; do lan ip route del $net.2; done
for id in 20 7 8; do wan ip rule del table $id; done
peer close f >"$OUT"
nft delete table inet fw4
conntrack -F >/dev/null 2>&1

# --- bridged flows -----------------------------------------------------------------------------

check "a bridge" bridge_up
peer capture >"$OUT"
check "the flow of a filter is offloaded" eval "rules && peer open f udp lan $THERE4 5500 && busy f 2"
shape wan cake
check "with a shaper at the wan packets that leave there are not" within_2s become f 0 1 5500
check "they pass the shaper" passes wan f up
unshape wan
check "without it they are offloaded again" busy f 2
shape br0 cake
check "a shaper at the bridge shapes all packets that leave by its ports" within_2s become f 0 0 5500
unshape br0
check_counts "tc's counts are exact" eval 'counts_are lan wan && counts_are wan lan'
no_rules
peer close f >"$OUT"
bridge_down
finish
