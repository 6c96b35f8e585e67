#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vcpus 2
# check-all: STORM=100000 FLOWS=8192 timeout=3600
# oracle: none
# Storms of events of routes and FDB entries. In a namespace without a flowtable they cost nothing;
# in the one of the flows they cost walks, and not one for each event. No flow leaves the hardware,
# a new flow is bound at once, and no walk holds the engine's lock from its begin to its end.
STORM=${STORM-4000}			# events of each kind
FLOWS=${FLOWS-0}			# connections besides, of two directions each
# shellcheck disable=SC2034 # used by peer
PEER_SECONDS=$((60 + STORM / 100))
. "$(dirname "$0")/../lib/lib.sh"
begin 22

# The host tests bound a step in register accesses. To remove all flows takes several times as long.
HOLD_US=$((100000 * SLOW))
FRESH=5500

# batches: files for ip and bridge, whose entries have nothing to do with the flows
batches()
{
	awk -v n="$STORM" 'BEGIN { for (i = 0; i < n; i++)
		printf "route add 10.%d.%d.%d/32 dev storm0\n", 64 + i / 65536, i / 256 % 256, i % 256 }' >/tmp/routes
	sed 's/add/del/' /tmp/routes >/tmp/no-routes
	awk -v n="$STORM" 'BEGIN { for (i = 0; i < n; i++)
		printf "fdb add 06:00:00:%02x:%02x:%02x dev storm0 master static\n", i / 65536, i / 256 % 256, i % 256 }' >/tmp/fdb
}

# place COMMAND…: a bridge with a port, in the namespace in which COMMAND runs its arguments
place()
{
	"$@" ip link add stormbr type bridge && "$@" ip link add storm0 type dummy &&
		"$@" ip link set storm0 master stormbr up && "$@" ip link set stormbr up
}

# A user without rights may have such a namespace.
other()
{
	ip netns exec storm "$@"
}
here()
{
	"$@"
}

# storm COMMAND…: all events, in the namespace in which COMMAND runs its arguments
storm()
{
	"$@" ip -batch /tmp/routes && "$@" bridge -batch /tmp/fdb && "$@" ip -batch /tmp/no-routes
}

counts()
{
	MOVED=$(stat_of moved) MOVES=$(stat_of moves) WALKS=$(stat_of walks)
}

# fresh: a new flow, which sends until it is bound; TOOK is how long that took (ms)
fresh()
{
	local start n
	FRESH=$((FRESH + 1)) TOOK=''
	peer open fresh udp lan "$WAN_HOST4" $FRESH && peer stream fresh both 100 64 || return 1
	start=$(now_ms)
	for ((n = 0; n < 100; n++)); do
		if bound_is 2 ":${FRESH}[- ]" >/dev/null; then
			TOOK=$(($(now_ms) - start))
			break
		fi
		usleep 5000
	done
	peer halt fresh
	peer close fresh
	[ "$TOOK" ]
}

# five: five new flows; MIDDLE is how long the middle one took (ms)
five()
{
	local n times=''
	for n in 1 2 3 4 5; do
		fresh || return 1
		times="$times $TOOK"
	done
	note "new flows are bound after$times ms"
	# shellcheck disable=SC2086 # words
	MIDDLE=$(printf '%s\n' $times | sort -n | sed -n 3p)
}

# quickly: of five new flows, the middle one is bound 100 ms later than without a storm, at most
quickly()
{
	five && [ "$MIDDLE" -le $((QUIET + 100 * SLOW)) ]
}

# try WHAT COMMAND…: makes 4 points
try()
{
	local what=$1 pid seen status
	shift
	counts
	seen=$(router_rx)
	storm "$@" >/tmp/storm 2>&1 &
	pid=$!
	BEGUN=$(now_ms)
	check "$what: meanwhile new flows are bound at once" quickly
	wait $pid
	status=$?
	LASTED=$(($(now_ms) - BEGUN))
	# The last walk.
	usleep 300000
	note "$what: $((3 * STORM)) changes in $LASTED ms: $(($(stat_of moves) - MOVES)) events heard, $(($(stat_of walks) - WALKS)) walks, $(($(stat_of moved) - MOVED)) flows ended; longest hold of the lock $(stat_of walk_hold_us) us"
	check "$what: all changes were made" equal status "$status" 0 || cat /tmp/storm
	check "$what: no flow left the hardware" equal moved "$(stat_of moved)" "$MOVED"
	note "$what: $(stat_of bound_now) flows are bound"
	check "$what: the steady flows are bound" bound_is 4 ":540[12][- ]"
	note "$what: $(($(router_rx) - seen)) frames reached the CPU"
}

steady()
{
	peer open one udp lan "$WAN_HOST4" 5401 && offloaded one ":5401" &&
		peer open two udp lan "$WAN_HOST6" 5402 && offloaded two ":5402" &&
		peer stream one both 50 100 && peer stream two both 50 100
}

# crowd: FLOWS connections, all of them in hardware as long as the test runs
crowd()
{
	[ "$FLOWS" = 0 ] && return
	many_flows "$FLOWS" 5460 0.0003 && wait_for 120 crowded
}
crowded()
{
	[ "$(stat_of bound_now)" -ge $((2 * FLOWS * 98 / 100)) ]
}

modprobe -a bridge dummy
batches
flowtable_timeout 3600
sysctl -qw net.netfilter.nf_conntrack_max=65536
check "the ruleset loads" ruleset hardware
check "$FLOWS connections are in hardware" crowd
check "two flows are in hardware" steady
check "new flows come into hardware" five
QUIET=$MIDDLE
peer capture off >"$OUT"
check "there is another namespace" ip netns add storm
check "it has a bridge" place other
try "another namespace" other
# A neighbour of the flows may have been confirmed meanwhile.
check "another namespace: the module heard of nothing there" [ "$(stat_of moves)" -le $((MOVES + 100)) ]
check "another namespace: it did nothing for that" [ "$(stat_of walks)" -le $((WALKS + 5)) ]
ip netns del storm

check "this namespace has a bridge, too" place here
# Prefixes that cover the flows' addresses: less specific, so that they change no path.
for ((n = 8; n < 20; n++)); do
	echo "route add $(echo "$WAN_HOST4" | cut -d. -f1).0.0.0/8 dev storm0 metric $n"
done >>/tmp/routes
try "this namespace" here
check "this namespace: the module heard of it" [ "$(stat_of moves)" -ge $((MOVES + 3 * STORM)) ]
# At most one walk in 20 ms, and one when all is over.
check "this namespace: it walked no more often than it may" [ $(($(stat_of walks) - WALKS)) -le $(((LASTED + 300) / 20 + 2)) ]

# What does change ends flows, and many of them in steps.
many()
{
	echo all >"$ENGINE/flush" && many_flows 200 5450 0.001 && [ "$(bound ':5450')" -ge 100 ]
}
flowtable_timeout 60
check "there are many flows" many
ip link set wan address 02:00:00:00:01:99
gone()
{
	bound_is 0 "eth=$WAN_PORT_MAC"
}
check "they end with the port's address" wait_for 2 gone
note "longest hold of the lock with many flows that end: $(stat_of walk_hold_us) us, $(stat_of moved) flows ended"
check "that walk held the lock for steps of it only" [ "$(stat_of walk_hold_us)" -le $HOLD_US ]
ip link set wan address "$WAN_PORT_MAC"
peer halt one >"$OUT"
peer halt two >"$OUT"
ip link del storm0
ip link del stormbr
finish
