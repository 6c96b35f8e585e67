#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# conntrack knows of a connection whose packets only hardware sees what it would know if software
# had seen them: that there was a reply, that it is assured, and so how long to keep it.
. "$(dirname "$0")/../lib/lib.sh"
begin 32

# has_status STATUS DPORT: whether conntrack has it set for the connection
has_status()
{
	conntrack -L 2>/dev/null | grep "dport=$2 "
	conntrack -L -u "$1" 2>/dev/null | grep -q "dport=$2 "
}
# half_open FLOW DPORT: the first packets of a UDP connection, which are not answered
half_open()
{
	conntrack -F >/dev/null 2>&1
	peer open "$1" udp lan "$WAN_HOST4" "$2" answer=no && peer send "$1" up 1 100 && wait_for 3 bound_is 2 ":$2"
}
# has_event PATTERN: an event with that, of a connection that has a reply
has_event()
{
	cat /tmp/events
	grep -v '<unreplied/>' /tmp/events | grep -q "type=.update.*<dport>5202<.*$1"
}
timeout_of()
{
	conntrack -L -p udp 2>/dev/null | sed -n "s/^udp *17 \\([0-9]*\\) .* dport=$1 .*/\\1/p"
}
times_out_within()
{
	local left
	left=$(timeout_of "$3")
	echo "timeout: $left s, want $1 to $2"
	[ "${left:-0}" -ge "$1" ] && [ "$left" -le "$2" ]
}
listen()
{
	conntrack -E -p udp -o xml >/tmp/events 2>/dev/null &
	LISTENER=$!
	usleep 300000
}

check "the ruleset loads" ruleset hardware
sysctl -qw net.netfilter.nf_conntrack_udp_timeout=4 net.netfilter.nf_conntrack_udp_timeout_stream=120

# One direction only: no reply, whatever hardware forwards.
check "two datagrams without an answer are offloaded" half_open up 5201
peer stream up up 20 100 >/dev/null
sleep $((FLOWTABLE_TIMEOUT + 2))
check "it is still in hardware" bound_is 2
check "there is no reply" not has_status SEEN_REPLY 5201
check "it is not assured" not has_status ASSURED 5201
peer halt up >/dev/null
peer close up >/dev/null
check "an unanswered flow ends" wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0

# The first answer, and all that follows, only hardware sees.
listen
check "another one is offloaded" half_open f 5202
seen=$(router_rx)
check "the answers pass in hardware" peer stream f both 20 100
check_counts "conntrack has seen a reply" wait_for 5 has_status SEEN_REPLY 5202
check_counts "after two seconds it is assured" wait_for 8 has_status ASSURED 5202
seen=$(($(router_rx) - seen))
check "few of its packets came by software" [ $seen -lt 20 ]
peer halt f >/dev/null
kill $LISTENER
check_counts "an event tells of the reply" has_event ''
check_counts "an event tells that it is assured" has_event '<assured/>'
check "an idle flow ends" wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
check_counts "conntrack keeps it as long as a stream" times_out_within 90 120 5202
sleep 5
check_counts "the server reaches the client after the silence" peer send f down 3 100
peer close f >/dev/null

# Nobody asks for the counters before the flow ends.
check "a third one is offloaded" half_open g 5203
check "a datagram each way passes in hardware" peer send g both 1 100
ended()
{
	echo all >"$ENGINE/flush" && bound_is 0
}
check "it is flushed at once" ended
check_counts "conntrack has seen its reply" has_status SEEN_REPLY 5203
peer close g >/dev/null

# TCP that conntrack has forgotten and picks up again.
conntrack -F >/dev/null 2>&1
wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0 >/dev/null
check "a TCP flow opens" peer open t tcp lan "$WAN_HOST4" 5205
check "it is offloaded" offloaded t :5205
forgotten()
{
	conntrack -F >/dev/null 2>&1
	wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
}
check "conntrack forgets it" forgotten
check "it is offloaded again" offloaded t :5205
check "it goes on in hardware" peer send t both 100 1000
check_counts "it is assured again" wait_for $((FLOWTABLE_TIMEOUT + 3)) has_status ASSURED 5205
peer close t >/dev/null

# A ruleset that does not count begins to, while a flow is in hardware.
counts()
{
	nft "add flowtable inet fw4 ft { hook ingress priority 0; devices = { \"lan\", \"wan\" }; $1 flags offload; }"
}
tuple="src=$LAN_HOST4 dst=$WAN_HOST4" back="src=$WAN_HOST4 dst=$LAN_HOST4"
exact_of()
{
	exact udp "dport=$1 " lan "proto=udp $tuple dport=$1" wan "proto=udp $back sport=$1"
}
nft delete table inet fw4
conntrack -F >/dev/null 2>&1
COUNTER='' check "a ruleset without counter loads" ruleset hardware
peer capture >/dev/null
check "a flow is offloaded" flow_offloaded c 5206
check "the flowtable counts from now on" counts 'counter;'
check "datagrams pass in hardware" peer send c both 300 100
check "its table is deleted" nft delete table inet fw4
check_counts "conntrack has all of them" exact_of 5206
peer close c >/dev/null
finish
