#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The files by which a user sees and controls flows: flows, rejects, flush, pause, policy.
. "$(dirname "$0")/../lib/lib.sh"
begin 49

# No flow is to end by itself.
flowtable_timeout 30

lines_of() { equal "lines of flows" "$(wc -l <"$ENGINE/flows")" "$1"; }

# refused REASON PATTERN: such a flow is one of the last refused flows
refused()
{
	grep -E "^flow reason=$1 .*$2" "$ENGINE/rejects" && return
	grep '^flow' "$ENGINE/rejects"
	return 1
}

# put FILE TEXT
put() { echo "$2" >"$ENGINE/$1"; }

# no_put ERROR FILE TEXT: the write fails with that error
no_put()
{
	local said
	said=$(LC_ALL=C sh -c 'echo "$2" >"$1"' sh "$ENGINE/$2" "$3" 2>&1) && return 1
	echo "$said" | grep "$1"
}

# all_seen FLOW: the router sees all frames of the flow
all_seen()
{
	local before wire
	peer capture
	before=$(router_rx)
	peer send "$1" both 50 200 || return 1
	wire=$(($(frames lan out proto=udp) + $(frames wan out proto=udp)))
	echo "$(($(router_rx) - before)) of $wire frames reached the router"
	[ "$wire" -ge 100 ] && [ $(($(router_rx) - before)) -ge "$wire" ]
}

# offered FLOW: goes on sending until the kernel has offered the flow again
offered()
{
	local n before
	before=$(stat_of offered)
	for n in 1 2 3 4 5 6 7 8 9 10; do
		peer send "$1" both 1 100 || return 1
		[ "$(stat_of offered)" -gt "$before" ] && return
		usleep 300000
	done
	echo "not offered again"
	return 1
}

same_connection()
{
	equal "connections" "$(conntrack -L -p udp 2>/dev/null | grep -c 'dport=520[12]')" "$1"
}

MASQ=1 check "the ruleset loads" ruleset hardware
check "there is no flow yet" lines_of 0
check "each port is in a flowtable" \
	equal ports "$(grep -c 'port .* up flowtables=1' "$ENGINE/status")" 2

# --- flows ---------------------------------------------------------------------------
peer capture >/dev/null
check "a flow with NAT is offloaded" flow_offloaded f 5201 sport=40001
up="orig=$LAN_HOST4:40001->$WAN_HOST4:5201" down="orig=$WAN_HOST4:5201->"
check "flows has both directions" lines_of 2
# shows DIR ORIG NEW IN OUT: flows has this direction
shows()
{
	grep -F "$2" "$ENGINE/flows"
	grep -E "^slot=[0-9a-f]{5} state=bound dir=$1 proto=udp $2 new=$3 in=$4 out=$5 " "$ENGINE/flows"
}
check "one direction is the original, with the addresses with which packets leave" \
	shows original "$up" "$WAN_ROUTER4:40001->$WAN_HOST4:5201" lan wan
check "the other direction is the reply, with the addresses with which packets come back" \
	shows reply "$down$WAN_ROUTER4:40001" "$WAN_HOST4:5201->$LAN_HOST4:40001" wan lan
slot=$(grep -F "$up" "$ENGINE/flows" | sed 's/^slot=\([0-9a-f]*\) .*/\1/')
check "bind has the same slot" grep -E "^$slot BND.*$LAN_HOST4:40001->" "$ENGINE/bind"
before=$(grep -F "$up" "$ENGINE/flows" | sed 's/.* packets=\([0-9]*\) .*/\1/')
peer send f both 200 100 >/dev/null
# shellcheck disable=SC2016 # awk's
times='{ for (i = 1; i <= NF; i++) { split($i, kv, "="); if (kv[1] ~ /^(age|idle|packets)$/) v[kv[1]] = kv[2] }
	print $0; if (!(v["age"] > 0 && v["idle"] <= v["age"])) bad = 1 } END { exit bad || NR != 2 }'
check "age and idle are times" awk "$times" "$ENGINE/flows"
after=$(grep -F "$up" "$ENGINE/flows" | sed 's/.* packets=\([0-9]*\) .*/\1/')
check_counts "its packets are counted" equal packets $((after - before)) 200
slow_reader()
{
	# A byte at a time: each line is there once and complete.
	dd if="$ENGINE/flows" bs=1 2>/dev/null | sed 's/ age=.*//' >/tmp/slow
	sed 's/ age=.*//' "$ENGINE/flows" | diff - /tmp/slow
}
check "a slow reader gets the same" slow_reader

# --- flush ---------------------------------------------------------------------------
check "flush: there is no such flow" no_put "No such file" flush "flow tcp $LAN_HOST4:40001 $WAN_HOST4:5201"
check "flush: a text that is no command is refused" no_put "Invalid argument" flush "all of them"
check "flush: a device that is no port is refused" no_put "No such device" flush "dev lo"
check "no flow was removed" bound_is 2
check "flush: the reply stands for the connection" put flush "flow udp $WAN_HOST4:5201 $WAN_ROUTER4:40001"
check "both directions left the hardware" engine_bound_is 0
check "flows is empty" lines_of 0
check "nf_flowtable has ended it" wait_for 3 sh -c "! conntrack -L -p udp 2>/dev/null | grep OFFLOAD"
check "the connection goes on" same_connection 1
check "it is offloaded again" offloaded f 5201
check_counts "conntrack is exact" exact udp dport=5201 \
	lan "proto=udp dport=5201" wan "proto=udp sport=5201"
peer open g udp lan "$WAN_HOST4" 5202 sport=40002 >/dev/null
check "a second flow is offloaded" wait_for 5 sh -c "grep -q 40002 $ENGINE/bind" \
	"$(peer send g both 3 100)"
check "flush all" put flush all
check "nothing is in hardware" engine_bound_is 0
check "both come back" offloaded f 5201
peer send g both 3 100 >/dev/null
check "all four directions are bound" wait_for 5 bound_is 4
check "flush by device" put flush "dev lan"
check "it removes all flows that pass it" engine_bound_is 0
check_counts "conntrack is still exact" exact udp dport=5201 \
	lan "proto=udp dport=5201" wan "proto=udp sport=5201"
peer close g >/dev/null

# --- pause ---------------------------------------------------------------------------
check "it is offloaded for pause" offloaded f 5201
check "pause" put pause 1
check "status says so" grep -x "paused: 1" "$ENGINE/status"
check "flows in hardware stay" bound_is 2
check "flush all while paused" put flush all
check "the kernel offers the flow, and the module refuses it" offered f
check "the reason is paused" refused paused "proto=udp $up in=lan out=wan"
check "the router sees every frame" all_seen f
check "the pause ends" put pause 0
check "the flow comes back" offloaded f 5201

# --- policy --------------------------------------------------------------------------
check "policy: the defaults" \
	equal policy "$(tr '\n' ' ' <"$ENGINE/policy")" "refuse_shaped 1 refuse_tc_filters 1 refuse_netdev_chains 1 refuse_xdp 1 refuse_multi_vlan 0 ipv4 1 ipv6 1 reserve 0 "
check "policy: an unknown key is refused" no_put "Invalid argument" policy "ipv5 1"
check "IPv4 is switched off" put policy "ipv4 0"
check "its flows left the hardware" engine_bound_is 0
check "the kernel offers the flow again, and the module refuses it" offered f
check "the reason is family-off" refused family-off "$up"
reason()
{
	awk '$1 == "family-off" && $2 > 0 && $3 ~ /^[0-9]+\.[0-9]+$/ && NF > 10 { print; ok = 1 } END { exit !ok }' "$ENGINE/rejects"
}
check "rejects has its count, time and sentence" reason
check "IPv4 is switched on" put policy "ipv4 1"
check "it comes back to hardware" offloaded f 5201
finish
