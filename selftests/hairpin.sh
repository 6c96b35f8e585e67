#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Two subnets at one port: the router sends frames out where they came in, and the
# hardware does the same to them.
. "$(dirname "$0")/lib.sh"
begin $((1 + 4 * LIKE_POINTS + 1))

MAC=02:00:00:00:02:03
two_subnets()
{
	# Nobody is to be told that there is a way round the router.
	sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.lan.send_redirects=0 &&
		hosts nsenter --net=/run/netns/lan sysctl -qw net.ipv6.conf.eth0.accept_redirects=0 &&
		ip addr add 198.51.100.1/24 dev lan && ip addr add 2001:db8:a::1/64 dev lan nodad &&
		peer station lan lan2 $MAC 198.51.100.2/24 2001:db8:a::2/64 &&
		hosts ip -n lan2 route add default via 198.51.100.1 &&
		hosts ip -n lan2 -6 route add default via 2001:db8:a::1 &&
		lan ping -c 1 -W 2 198.51.100.2 && lan ping -c 1 -W 2 2001:db8:a::2
}
check "two subnets at the lan reach each other" two_subnets
dport=5400
for proto in udp tcp; do
	for family in 4 6; do
		here=LAN_HOST$family there=198.51.100.2 dport=$((dport + 1))
		[ $family = 4 ] || there=2001:db8:a::2
		up="src=${!here} dst=$there dport=$dport" down="src=$there dst=${!here} sport=$dport"
		like_software "$proto over IPv$family" $proto lan lan "$there" $dport \
			"$up smac=$LAN_HOST_MAC" "$up dmac=$MAC" "$down smac=$MAC" "$down dmac=$LAN_HOST_MAC" to=lan2
	done
done
peer unplug lan2 >"$OUT"
ip addr del 198.51.100.1/24 dev lan
ip addr del 2001:db8:a::1/64 dev lan
sysctl -qw net.ipv4.conf.all.send_redirects=1 net.ipv4.conf.lan.send_redirects=1
check "the log is clean" log_clean
finish
