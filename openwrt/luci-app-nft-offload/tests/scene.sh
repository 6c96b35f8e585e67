#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The scene for the tests of the page: runs in the router of a lab, with the selftests' lib.sh, and
# keeps traffic going until the file /tmp/luci.stop exists. When everything is ready, it creates
# /tmp/luci.ready.
# shellcheck source=selftests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# Those who are idle meanwhile stay.
# shellcheck disable=SC2034 # used by begin
FLOWTABLE_TIMEOUT=600
rm -f /tmp/luci.*
begin 1

fail()
{
	echo "$PEER_SAYS" >/tmp/luci.failed
	ktap_exit_fail_msg "$1"
}

# opened NAME PROTO FROM DST DPORT [OPTION…]: with enough traffic to be offered
opened()
{
	peer open "$@" && peer send "$1" both 20 400 gap=2 || fail "no flow $1"
}

MASQ=1 ruleset hardware || fail "no ruleset"
nft add chain inet fw4 six '{ type nat hook postrouting priority srcnat; }'
nft add rule inet fw4 six meta nfproto ipv6 udp dport 5206 masquerade

opened nat66 udp lan "$WAN_HOST6" 5206 sport=40007
echo 'ipv6 0' >"$ENGINE/policy"
opened six udp lan "$WAN_HOST6" 5207 sport=40008
echo 'ipv6 1' >"$ENGINE/policy"
echo 1 >"$ENGINE/pause"
opened paused udp lan "$WAN_HOST4" 5208 sport=40009
echo 0 >"$ENGINE/pause"
peer close paused && peer close six

opened video tcp lan "$WAN_HOST4" 443 sport=40001
opened mail tcp lan "$WAN_HOST4" 993 sport=40002
opened call udp lan "$WAN_HOST6" 3478 sport=40003
opened names udp lan "$WAN_HOST4" 53 sport=40004
opened backup tcp lan "$WAN_HOST6" 22 sport=40005
opened game udp lan "$WAN_HOST4" 27015 sport=40006
wait_for 5 bound_is 12 || fail "not all are in hardware"
# What came before the flow was bound was not counted by the hardware.
for flow in mail names backup game; do peer send $flow both 50 600; done
peer stream video down 150 1200
: >/tmp/luci.ready

# The hardware lets go of who says nothing. For a picture there is luci.vary, and more to see.
n=0
until [ -e /tmp/luci.stop ]; do
	sleep 0.5
	n=$((n + 1))
	[ $((n % 2)) = 0 ] && peer send call both 20 200
	[ $((n % 10)) = 0 ] && for flow in mail names backup game; do peer send $flow both 2 600; done
	[ -e /tmp/luci.vary ] && case $((n % 80)) in
	20)	peer halt video
		peer stream video down 400 1200 ;;
	30)	opened call2 udp lan "$WAN_HOST4" 3479 sport=40011
		opened call3 udp lan "$WAN_HOST6" 3479 sport=40012 ;;
	50)	peer halt video
		peer stream video down 60 1200 ;;
	60)	peer close call2
		peer close call3
		echo "flow udp $LAN_HOST4:40011 $WAN_HOST4:3479" >"$ENGINE/flush" 2>/dev/null
		echo "flow udp [$LAN_HOST6]:40012 [$WAN_HOST6]:3479" >"$ENGINE/flush" 2>/dev/null ;;
	70)	peer halt video
		peer stream video down 250 1200 ;;
	esac
done
# The page reads every other second, and the module stays as long as a file of it is open.
nft flush ruleset
wait_for 20 rmmod nft_offload
ktap_test_pass "the scene"
finish
