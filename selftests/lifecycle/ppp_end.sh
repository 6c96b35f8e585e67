#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --isp
# check-all: only
# oracle: none
# A PPP device goes down while packets are sent into it, by the router's administrator or by the end
# of pppd, beside a second session that stays. RTNL is free again within a second, and no frame
# goes on in the session that ended.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/encap.sh"
begin 10

# Without a route into the session flows do not end by themselves.
flowtable_timeout 30
check "a session" set_up - p
first=$SESSION
# second: another session over the same port, with a route of its own
second()
{
	pppd plugin pppoe.so nic-wan ifname second linkname second user lab remotename isp noauth \
		noipdefault nodefaultroute mtu 1492 mru 1492 silent lcp-restart 1 logfile /tmp/second.log \
		updetach || { cat /tmp/second.log; return 1; }
	wait_for 5 ip -o -4 addr show second
	ip route replace 198.51.100.200/32 dev second
}
check "a second session over the same port" second
MASQ=1 ruleset hardware
busy()
{
	peer open a udp lan "$ISP_HOST4" 6001 && peer open b udp lan "$ISP_HOST6" 6002 &&
		offloaded a :6001 && offloaded b :6002 && peer stream a up 200 200 && peer stream b up 200 200
}
check "flows of the first session send all the time" busy

# free COMMAND…: COMMAND takes less than a second, and so does whoever waits for RTNL meanwhile
free()
{
	local start pid
	start=$(now_ms)
	"$@" &
	pid=$!
	usleep 50000
	ip link set lo up || return 1
	WAITED=$(($(now_ms) - start))
	wait $pid
	TOOK=$(($(now_ms) - start))
	echo "RTNL was free after $WAITED ms, all was done after $TOOK ms"
	[ $WAITED -lt $((1000 * SLOW)) ] && [ $TOOK -lt $((6000 * SLOW)) ]
}
# silent: 100 ms later no frame has the session's number
silent()
{
	usleep 100000
	peer capture && peer time || return 1
	sleep 1
	# LCP has another EtherType, or not: only packets of IP count.
	equal "frames of session $first" "$(frames wan in "pppoe=$first" proto=udp "time_ms>=$(field time_ms)")" 0
}
check "the device goes down: RTNL is free" free ip link set wan-ppp down
note "$(tail -n 1 "$OUT")"
check "no frame goes on in the session" silent
check "the second session is there" ip -o -4 addr show second

again()
{
	peer close a
	peer close b
	hang_up
	conntrack -F >/dev/null 2>&1
	dial wan && reached && first=$SESSION && busy
}
check "the first session comes again, with its flows" again
check "pppd ends: RTNL is free" free hang_up
note "$(tail -n 1 "$OUT")"
check "no frame goes on in that session either" silent
check "the second session is there still" ip -o -4 addr show second
peer close a >"$OUT"
peer close b >"$OUT"
kill "$(head -n 1 /run/ppp-second.pid)"
nft delete table inet fw4
tear_down - p >"$OUT" 2>&1
finish
