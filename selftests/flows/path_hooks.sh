#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Something at a device sees or changes packets: a mirror of tc, a chain of nft, an XDP program, a
# VLAN device that sets priorities. Flows that pass it stay in software while it is there, so that
# it has the same packets as without a flowtable. Reports of the kinds "a mirror sees nothing of
# offloaded flows", "a ban in a netdev chain has no effect", "offload loses the VLAN priority".
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/encap.sh"
begin $((3 + 5 * 6 + 3 + 4 + 6))

# bound_are UP DOWN: how many entries are bound, for packets that the lan sends and that it gets
bound_are()
{
	equal "bound of what the lan sends to $DPORT" "$(bound "orig=[^ ]*:$DPORT ")" "$1" &&
		equal "bound of what it gets from there" "$(bound "orig=[^ ]*:$DPORT->")" "$2"
}

# become UP DOWN: the same, within three seconds
become()
{
	local n
	for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		bound_are "$@" >/dev/null && return 0
		peer send f both 2 100 || return 1
		usleep 150000
	done
	bound_are "$@"
	awk '$2 != 0' "$ENGINE/rejects"
	return 1
}

# sees COMMAND COUNT: what COMMAND counts has grown by so many after 60 packets up
sees()
{
	local before now
	before=$($1)
	peer send f up 60 200 gap=1 || return 1
	usleep 100000
	now=$($1)
	echo "$1: $((now - before)) of 60 packets"
	# The router asks the neighbours of flows in hardware, and they answer.
	[ $((now - before)) -ge "$2" ] && { [ "$2" != 0 ] || [ $((now - before)) -le 2 ]; }
}
tap() { cat /sys/class/net/tap/statistics/tx_packets; }
chain() { nft list table netdev watch | sed -n 's/.*counter packets \([0-9]*\).*/\1/p'; }

# obstacle WHAT DEV REASON UP DOWN SEES: six points. The commands there() and gone() make it and
# take it away.
obstacle()
{
	local count
	there
	count=$(reject_of "$3")
	check "$1: flows that pass it leave the hardware" become "$4" "$5"
	check "$1: they are refused as $3" wait_for 3 eval \
		"peer send f both 2 100; [ \$(reject_of $3) -gt $count ]"
	check "$1: it has all packets" sees "$6" 60
	check "$1: the log names the device" log_has 1 "nft_offload .*: $2 has $7, which hardware would bypass"
	gone
	check "$1: without it both directions are in hardware" become 1 1
	check "$1: and it has no packets" sees router_rx 0
}

flowtable_timeout 30
modprobe -a sch_ingress cls_matchall cls_flower act_mirred dummy
ip link add tap type dummy && ip link set tap up
check "VLANs at the wan" tagged wan 10
check "the ruleset loads" ruleset hardware
DPORT=5201
check "a flow is in hardware" eval "peer open f udp lan $WAN_HOST4 5201 && become 1 1"

# --- by kind -----------------------------------------------------------------------------

there() { tc qdisc add dev lan clsact && tc filter add dev lan ingress matchall action mirred egress mirror dev tap; }
gone() { tc qdisc del dev lan clsact; }
obstacle "a mirror for what arrives at the lan" lan tc-filter 0 1 tap "filters of tc"

there() { tc qdisc add dev wan clsact && tc filter add dev wan egress matchall action mirred egress mirror dev tap; }
gone() { tc qdisc del dev wan clsact; }
obstacle "a mirror for what leaves by the wan" wan tc-filter 0 1 tap "filters of tc"

# netdev HOOK DEV: a chain that counts what the lan sends
netdev()
{
	nft -f - <<-END
		table netdev watch {
			chain c {
				type filter hook $1 device "$2" priority -500;
				ip saddr $LAN_HOST4 ip protocol udp counter
			}
		}
	END
}
gone() { nft delete table netdev watch; }
there() { netdev ingress lan; }
obstacle "a chain at the lan's ingress" lan netdev-chain 0 1 chain "rules of nft"
there() { netdev egress wan; }
obstacle "a chain at the wan's egress" wan netdev-chain 0 1 chain "rules of nft"

# Two instructions, in an ELF file: return XDP_PASS.
base64 -d <<END | gunzip >/tmp/pass.o
H4sIAAAAAAACA6t39XFjYmRkgAFGhu8MCB4CbEBiO0BJVgYWhu1AFhMQT4XKuQf4MOADILOF
kGwQgDEKEouLGfSKS4pKEpOAdGUuiK5IKWDIyUxOzStOZaAOEIO6gQ1N3AHdPVDAgcaXgupn
RhMPgNIsWPyLDPig4YUOIqC0AZI5jEj2S0BpNix2g0AHlFYiYD8AaCU1kfABAAA=
END
there() { ip link set lan xdpgeneric obj /tmp/pass.o sec xdp; }
gone() { ip link set lan xdpgeneric off; }
obstacle "an XDP program at the lan" lan xdp 0 1 router_rx "an XDP program"

# --- what is no obstacle -------------------------------------------------------------------

nft -f - <<END
table netdev watch {
	chain c { type filter hook ingress device "lan" priority -500; }
}
END
sleep 2.5
check "a chain without rules is no obstacle" bound_are 1 1
nft delete table netdev watch
tc qdisc add dev lan clsact
tc filter add dev lan ingress flower src_mac 02:00:00:00:aa:01 dst_mac 02:00:00:00:aa:02 \
	action mirred egress redirect dev wan
sleep 2.5
check "a filter that is in hardware is no obstacle" eval "tc filter show dev lan ingress | grep -qw in_hw && bound_are 1 1"
tc filter add dev lan ingress prio 9 protocol ip flower skip_hw ip_proto udp action mirred egress mirror dev tap
check "one beside it that is not is one" eval "become 0 1 && sees tap 60"
tc qdisc del dev lan clsact

# --- by policy -----------------------------------------------------------------------------

policy() { echo "$1 $2" >"$ENGINE/policy" && grep -x "$1 $2" "$ENGINE/policy"; }
netdev ingress lan
check "a chain at the lan's ingress" become 0 1
check "without the policy they are in hardware" eval 'policy refuse_netdev_chains 0 && become 1 1'
check "there they bypass it" sees chain 0
check "with the policy they are in software as soon as it is written" eval 'policy refuse_netdev_chains 1 && bound_are 0 1'
nft delete table netdev watch

# --- priorities of a VLAN device -------------------------------------------------------------

peer close f >"$OUT"
DPORT=6001
check "a flow in a VLAN is in hardware" eval "peer open f udp lan 198.51.100.130 6001 && become 1 1"
ip link set wan.10 type vlan egress-qos-map 0:3
check "a VLAN device with egress-qos-map: flows that leave by it are in software" become 0 1
# In the software flowtable, which does not set it either.
mapped()
{
	peer send f both 2 100 && [ "$(reject_of egress-qos-map)" -ge 1 ]
}
check "they are refused for that" wait_for 5 mapped
ip link set wan.10 type vlan egress-qos-map 0:0
check "without it they are in hardware" become 1 1
check "by policy, flows that arrive at a port of several VLANs are in software" eval 'policy refuse_multi_vlan 1 && become 1 0'
# The software flowtable does not take what arrives with a tag, so the kernel offers that direction
# again only when the connection comes back from a flush.
again()
{
	policy refuse_multi_vlan 0 && echo all >"$ENGINE/flush" && become 1 1
}
check "without it, and flushed, they are in hardware" again
peer close f >"$OUT"
ip link del tap
tear_down - 10 >"$OUT" 2>&1
finish
