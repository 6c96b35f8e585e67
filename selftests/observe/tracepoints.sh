#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# The tracepoints report each flow that is bound, unbound, refused or evicted, and an engine that
# is quarantined. A tracepoint that is off reports nothing. This test reads tracefs; trace_tools.sh
# uses the tools.
. "$(dirname "$0")/../lib/lib.sh"
begin 34

TRACING=/sys/kernel/tracing
EVENTS=$TRACING/events/nft_offload
mount -t tracefs tracefs $TRACING 2>/dev/null
DEVICE=${ENGINE##*/}

# enable 0|1 [EVENT…]: all events if none is named; the trace becomes empty
enable()
{
	local event on=$1
	shift
	for event in "${@-.}"; do
		echo "$on" >"$EVENTS/$event/enable" || return 1
	done
	echo >$TRACING/trace
}

# said PATTERN: lines of the trace
said() { grep -E "^[^#].*$1" $TRACING/trace; }

said_is()
{
	local n
	n=$(said "$2" | wc -l)
	equal "lines with '$2'" "$n" "$1" || { tail -n 20 $TRACING/trace; return 1; }
}

says() { said "$1" || { tail -n 20 $TRACING/trace; return 1; }; }

# gone PATTERN: no entry and no flow is left
gone() { bound_is 0 "$1" && [ "$(stat_of flows_now)" = 0 ]; }

# balance: the counts of stats are those of the events since the module was loaded
balance()
{
	equal bound_total "$(said " nft_offload_bind: .* why=new$" | wc -l)" "$(stat_of bound_total)" &&
		equal updated "$(said " nft_offload_bind: .* why=updated$" | wc -l)" "$(stat_of updated)" &&
		equal rebound "$(said " nft_offload_bind: .* why=rebound$" | wc -l)" "$(stat_of rebound)" &&
		equal "bound_now" $(($(said ' nft_offload_bind: ' | wc -l) - $(said ' nft_offload_unbind: ' | wc -l))) "$(stat_of bound_now)" &&
		equal evicted "$(said ' nft_offload_evict: ' | wc -l)" "$(stat_of evicted)" &&
		equal rejected "$(said ' nft_offload_reject: ' | wc -l)" "$(stat_of rejected)"
}

for event in nft_offload_{bind,unbind,evict,reject,quarantine}; do
	check "there is an event $event" test -e "$EVENTS/$event/format"
done

# --- off and on -------------------------------------------------------------------
check "the ruleset loads" env MASQ=1 bash -c ". '$here/lib.sh'; ruleset hardware"
echo >$TRACING/trace
check "a flow is offloaded" flow_offloaded f 5201
peer close f >/dev/null
check "it ends" wait_for $((FLOWTABLE_TIMEOUT + 6)) gone ""
check "no event reports it" said_is 0 ''

rmmod nft_offload
nft delete table inet fw4
load
check "all events are turned on" enable 1
MASQ=1 ruleset hardware
check "a flow is offloaded" flow_offloaded f 5202 sport=40002
entry=$(grep ":40002->$WAN_HOST4:5202" "$ENGINE/bind")
slot=${entry%% *}
orig=$LAN_HOST4:40002-\>$WAN_HOST4:5202
check "an event reports its bind: slot, addresses, new addresses and ports" says \
	" nft_offload_bind: device=$DEVICE slot=$slot proto=udp orig=$orig new=$WAN_ROUTER4:40002->$WAN_HOST4:5202 in=1 out=2 packets=0 bytes=0 idle_ms=[0-9]+ owner=[0-9]+ why=new$"
check "an event reports the bind of its reverse direction" says \
	" nft_offload_bind: device=$DEVICE slot=[0-9a-f]{5} proto=udp orig=$WAN_HOST4:5202->$WAN_ROUTER4:40002 new=$WAN_HOST4:5202->$LAN_HOST4:40002 in=2 out=1 .* why=new$"
peer capture >/dev/null
peer send f both 50 200 >/dev/null
peer close f >/dev/null
check "it ends" wait_for $((FLOWTABLE_TIMEOUT + 6)) gone ""
check "an event reports its unbind" says " nft_offload_unbind: device=$DEVICE slot=$slot proto=udp orig=$orig .* why=ended$"
check "the event has its idle time" says " nft_offload_unbind: .* orig=$orig .* idle_ms=[2-9][0-9]{3,} "
counted()
{
	local seen
	# The first packets went by software.
	seen=$(said " nft_offload_unbind: .* orig=$orig " | sed -n 's/.* packets=\([0-9]*\) .*/\1/p')
	echo "$seen packets"
	[ "$seen" -ge 50 ]
}
check_counts "the event has the packets that the engine forwarded" counted
check "each bind has its unbind, and stats has the same counts" balance

# --- IPv6, and refused flows -------------------------------------------------------
peer open s udp lan "$WAN_HOST6" 5203 sport=40003 >/dev/null
check "an IPv6 flow is offloaded" offloaded s 5203
check "an event reports its bind" says " nft_offload_bind: .* orig=\\[$LAN_HOST6\\]:40003->\\[$WAN_HOST6\\]:5203 "
peer close s >/dev/null
nft add chain inet fw4 six '{ type nat hook postrouting priority srcnat; }'
nft add rule inet fw4 six meta nfproto ipv6 udp dport 5206 masquerade
peer open g udp lan "$WAN_HOST6" 5206 sport=40006 >/dev/null
check "an event reports a refusal with its reason" wait_for 3 says \
	" nft_offload_reject: device=$DEVICE reason=nat66 proto=udp orig=\\[$LAN_HOST6\\]:40006->\\[$WAN_HOST6\\]:5206 in=lan out=wan owner=[0-9]+$"
peer close g >/dev/null

# --- filters -------------------------------------------------------------------------
echo 'dport == 5208 || sport == 5208' >"$EVENTS/nft_offload_bind/filter"
enable 1 nft_offload_bind >/dev/null
for port in 5207 5208; do
	peer open "p$port" udp lan "$WAN_HOST4" $port >/dev/null
	check "a flow to port $port is offloaded" offloaded "p$port" $port
done
check "a filter lets the events of one port through" said_is 2 ' nft_offload_bind: .*:5208'
check "it lets no other event through" said_is 2 ' nft_offload_bind: '
# No pattern can begin with a digit: the kernel takes it for something else.
echo "orig ~ \"*$WAN_HOST4:*->*\" && protocol == 17 && family == 2" >"$EVENTS/nft_offload_unbind/filter"
enable 1 nft_offload_unbind
nft delete table inet fw4
check "a filter for addresses lets one direction of both flows through" said_is 2 " nft_offload_unbind: .* orig=$WAN_HOST4:.* why=flushed$"
check "it lets no other direction through" said_is 2 ' nft_offload_unbind: '
echo 0 >"$EVENTS/filter"

# --- eviction -----------------------------------------------------------------------
flowtable_timeout 30
lab bucket --src "$LAN_HOST4:40001" --dst "$WAN_HOST4:5501" >/tmp/bucket
slots=$(grep -c '^usable' /tmp/bucket)
mapfile -t sports < <(echo 40001; awk -v n="$slots" '/^ports/ && n-- > 0 { print $2 }' /tmp/bucket)
ruleset hardware
enable 1
up_bound() { bound_is 1 ":$1->$WAN_HOST4:5501"; }
fill()
{
	local n
	for n in $(seq 0 $((slots - 1))); do
		peer open "b$n" udp lan "$WAN_HOST4" 5501 "sport=${sports[n]}" && peer send "b$n" both 2 100 &&
			wait_for 5 up_bound "${sports[n]}" || return 1
	done
}
check "a bucket is filled" fill
peer open more udp lan "$WAN_HOST4" 5501 "sport=${sports[slots]}" >/dev/null
peer stream more up 5 100 >/dev/null
check "one more flow is bound when one is idle" wait_for 20 up_bound "${sports[slots]}"
# The kernel offers the new flow once a second; a slow kernel offers it later.
idle='[7-9][0-9]{3}'
[ "$SLOW" = 1 ] || idle="($idle|[1-3][0-9]{4})"
check "an event reports the eviction, and how long the flow was idle" says \
	" nft_offload_evict: device=$DEVICE slot=[0-9a-f]{5} proto=udp orig=$LAN_HOST4:.* idle_ms=$idle .* why=bucket-full$"
check "an event reports its unbind, too" says " nft_offload_unbind: .* why=evicted$"
peer halt more >/dev/null

# --- the module and the engine go ------------------------------------------------------
check "the module unloads with its events on" rmmod nft_offload
check "the events are gone" not test -e "$EVENTS"
nft delete table inet fw4
load
ruleset hardware
enable 1
peer open q udp lan "$WAN_HOST4" 5210 >/dev/null
offloaded q 5210 >/dev/null
vppectl fault dead on >/dev/null
peer open r udp lan "$WAN_HOST4" 5211 >/dev/null
check "one event reports an engine that is quarantined" wait_for 10 said_is 1 " nft_offload_quarantine: device=$DEVICE chip=$(chip)$"
finish
