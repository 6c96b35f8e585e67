#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --isp
# PPPoE at the wan, without and with a VLAN tag, with IPv4 and IPv6: hardware makes the same
# frames as the kernel, leaves the other frames of a session to the kernel, and forgets a
# session that has ended.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/encap.sh"
begin $((3 + 8 * LIKE_POINTS + 5 + 2 + 8 + 3 * 5 + 1 + 1))
with_tags - p udp4nx udp6 tcp4n tcp6x
with_tags - 20.p udp4nx tcp6x
with_tags 10 p udp4n udp6x

# Two flows in the session, one of them with NAT; neither ends because it is idle.
two_flows()
{
	peer open a udp lan "$ISP_HOST4" 6001 && peer open b udp lan "$ISP_HOST6" 6002 &&
		offloaded a :6001 && offloaded b :6002
}
flowtable_timeout 30
check "a session" set_up - p
MASQ=1 ruleset hardware
check "two flows in it are bound" two_flows

# --- what the CPU goes on to do ----------------------------------------------------------

echoes()
{
	local seen
	peer capture
	seen=$(router_rx)
	peer send a up 300 200 gap=10 || return 1
	seen=$(($(router_rx) - seen))
	echo "LCP: $(frames wan in "pppoe=$SESSION" ethertype=8864) there, $(frames wan out "pppoe=$SESSION" ethertype=8864) back"
	echo "$seen frames reached the router"
	# A request and an answer each second, each way, for three seconds.
	[ "$(frames wan in "pppoe=$SESSION" ethertype=8864)" -ge 4 ] &&
		[ "$(frames wan out "pppoe=$SESSION" ethertype=8864)" -ge 4 ] &&
		[ "$seen" -lt 30 ] && bound_is 4
}
check "LCP echoes go on while flows are in hardware" echoes

# sized FLOW SIZE HEADERS [df]: ten packets of SIZE bytes. ARRIVED is how many arrived, WAY
# whether the CPU saw them; the CPU sees some frames of LCP meanwhile
sized()
{
	local seen
	peer capture
	seen=$(router_rx)
	# shellcheck disable=SC2086 # words
	peer burst $1 up 10 $(($2 - $3)) ${4-} || return 1
	ARRIVED=$(frames wan in "pppoe=$SESSION" proto=udp "bytes=$2")
	seen=$(($(router_rx) - seen))
	[ "$seen" -ge 10 ] && WAY=software || WAY=hardware
	echo "$2 bytes: $ARRIVED arrived, $seen frames seen by the router"
}

all_by_hardware() { sized "$@" && [ "$ARRIVED $WAY" = "10 hardware" ]; }

too_big()
{
	local answer=$5
	sized "$1" "$2" "$3" df && [ "$ARRIVED $WAY" = "0 software" ] && [ "$(frames lan in "$answer")" -ge 1 ]
}

fragmented()
{
	sized a 1500 28 && [ "$ARRIVED $WAY" = "0 software" ] &&
		equal fragments "$(frames wan in "pppoe=$SESSION" fragment=1)" 20
}
check "IPv4: packets of the session's MTU are forwarded by hardware" all_by_hardware a 1492 28 df
check "IPv6: packets of the session's MTU are forwarded by hardware" all_by_hardware b 1492 48 df
# The engine takes PPPoE's 8 bytes for a tag's 4.
check "IPv4: so are packets of up to 4 bytes more" all_by_hardware a 1496 28 df
check "IPv6: so are packets of up to 4 bytes more" all_by_hardware b 1496 48 df
check "IPv4: the router answers larger packets" too_big a 1497 28 df proto=icmp
check "IPv6: the router answers larger packets" too_big b 1497 48 df proto=icmp6
check "IPv4: the router fragments larger packets" fragmented

# --- the end of a session -----------------------------------------------------------------

ended() { peer capture && hang_up && equal PADT "$(frames wan in ethertype=8863)" 1; }

killed() { kill -KILL "$(head -n 1 "$SESSION_PID")" && rm "$SESSION_PID"; }

cut_off() { lab link wan down; }

# silent SESSION: flows still send, but not with this session's number
silent()
{
	peer capture && peer burst a up 50 200 && peer burst b up 50 200 &&
		equal "frames of session $1" "$(frames wan in "pppoe=$1")" 0
}

# anew SESSION: the next session has another number, and flows are bound in it
anew()
{
	dial wan && not equal session "$SESSION" "$1" && reached || return 1
	peer close a
	peer close b
	conntrack -F
	peer capture && two_flows && equal "frames of session $1" "$(frames wan in "pppoe=$1")" 0 &&
		[ "$(frames wan in "pppoe=$SESSION")" -gt 0 ]
}

for end in ended killed cut_off; do
	old=$SESSION
	check "$end: the session ends" $end
	check "$end: nothing is bound a moment later" wait_for 1 bound_is 0
	check "$end: nothing is bound in the engine" engine_bound_is 0
	if [ $end = cut_off ]; then
		check "$end: pppd gives up" wait_for 10 not test -e "$SESSION_PID"
		lab link wan up
	fi
	check "$end: no frame has the session's number" silent "$old"
	check "$end: a new session has another number, and flows in it are bound" anew "$old"
done
check "under 1 % of the frames reach the router" few_reach_router b 400
peer close a >"$OUT"
peer close b >"$OUT"
tear_down - p >"$OUT" 2>&1
finish
