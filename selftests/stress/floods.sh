#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vcpus 2
# check-all: FLOOD_SECONDS=60 FLOOD_FLOWS=100000 timeout=3600
# oracle: none
# Floods: short flows, a scan of ports, flows for one bucket, commands on all processors. In the
# flood, flows in hardware are as fast as before and the router answers. Afterwards its memory and
# its queues are as before. FLOOD_SECONDS= and FLOOD_FLOWS= make floods longer.
FLOOD_SECONDS=${FLOOD_SECONDS-1}	# of each flood, at least
FLOOD_FLOWS=${FLOOD_FLOWS-3000}		# for one bucket
FLOODS=${FLOODS-flows scan bucket storm}
# shellcheck disable=SC2034 # used by peer
PEER_SECONDS=$((FLOOD_SECONDS + 60))
. "$(dirname "$0")/../lib/lib.sh"
POINTS=12				# of each flood
# shellcheck disable=SC2086 # words
begin $((7 + POINTS * $(set -- $FLOODS && echo $#)))

needs_oracle
# Floods go from host to host, by addresses that the hosts do not have.
FROM=192.0.2.77 TO=203.0.113.77
LIVE=5600 STEADY=5601 FRESH=5602	# ports of flows beside the flood; new flows count up from FRESH

# took COMMAND…: TOOK is how long (ms)
took()
{
	local start
	start=$(now_ms)
	"$@" || return 1
	TOOK=$(($(now_ms) - start))
}

# A chip and other machines would not wait for the processors of the router. So engine and hosts
# go before everything else on this machine.
apart()
{
	# shellcheck disable=SC2016 # the other shell's
	hosts sh -c 'for pid in $(pidof vppe) $(pgrep -f "[t]raffic.py"); do chrt -a -f -p 10 "$pid" || exit 1; done'
}

# flooding KIND ARG…: traffic, or commands from all processors
flooding()
{
	if [ "$1" = storm ]; then
		insmod "$ORACLE" hostile=lan,wan "storm=$2" seed=77 &&
			grep -vE '^(tc_|odd_)' /sys/kernel/debug/nft_offload_oracle && rmmod nft_offload_oracle
	else
		hosts python3 -B "$SELFTESTS_DIR/lib/flood.py" "$@"
	fi
}

open_flow() { peer open "$1" udp lan "$WAN_HOST4" "$2" "sport=$2"; }
# in_hardware PORT: by conntrack; to read the whole table takes long while thousands of flows come
in_hardware()
{
	conntrack -G -p udp -s "$LAN_HOST4" -d "$WAN_HOST4" --sport "$1" --dport "$1" 2>&1 | grep HW_OFFLOAD
}

# fresh SECONDS: a new flow is offloaded; TOOK is the time until then. It goes on sending, or the
# flowtable might remove it while it waits in the queue.
fresh()
{
	FRESH=$((FRESH + 1))
	open_flow fresh $FRESH && peer stream fresh both 2 64 &&
		took wait_for "$1" in_hardware $FRESH && peer close fresh
}

# fresh_or_next SECONDS: if earlier flows still have all slots of its bucket, another new flow. The
# kernel offers a refused flow again after a second, so that flow does not tell how soon.
fresh_or_next()
{
	local full status=0
	full=$(reject_of bucket-full)
	fresh "$1" || { status=1; peer close fresh; }
	[ $status = 0 ] && [ "$TOOK" -lt $((1000 * SLOW)) ] && return
	[ "$(reject_of bucket-full)" -gt "$full" ] || return $status
	fresh "$1"
}

# by_cpu: how many packets of the live flow the CPU has seen
by_cpu() { nft list counter netdev watch live | awk '$1 == "packets" { print $2 }'; }

# objects: how many objects of each cache of slab are in use
objects()
{
	local file
	echo 2 >/proc/sys/vm/drop_caches
	for file in /sys/kernel/slab/*/shrink; do
		echo 1 >"$file"
	done
	awk '/^(#|slabinfo)/ { next } { print $1, $2 }' /proc/slabinfo
}
available() { awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo; }

# memory_back BEFORE FLOWS: no cache has grown by an object for each tenth flow
memory_back()
{
	objects >/tmp/after
	awk -v most=$((200 + $2 / 10)) '
		NR == FNR { before[$1] = $2; next }
		$2 - before[$1] > most { print $1, before[$1], $2; wrong = 1 }
		END { exit wrong }' "$1" /tmp/after
}

# others_bound COUNT: entries of flows that are neither the live nor the steady one
others_bound()
{
	local n
	n=$(grep BND "$ENGINE/bind" | grep -vcE ":($LIVE|$STEADY)[- ]")
	equal "other entries" "$n" "$1"
}
# Nine of ten pings: a flood may be more than the processor can handle.
answers()
{
	cat /tmp/ping
	awk '/ received/ { good = $4 * 10 >= $1 * 9 } END { exit !good }' /tmp/ping
}

# echoes WHAT SECONDS: round trips of the live flow. MEDIAN is in µs, CPU is how many packets the
# CPU saw
echoes()
{
	local before
	wait_for 30 in_hardware $LIVE >/tmp/why || return 1
	# The two directions are bound one after the other.
	usleep 200000
	before=$(by_cpu)
	peer echo live "$2" >/tmp/why || return 1
	CPU=$(($(by_cpu) - before)) MEDIAN=$(field median) LOST=$(field lost)
	note "$KIND: $1: $(field back) round trips, median $MEDIAN us, 99 % within $(field p99) us, longest $(field max) us"
}

# try KIND ARG…: measures before, during and after a flood; if it fails /tmp/why says why
try()
{
	local pid ping idle
	echoes before 0.5 || return 1
	idle=$MEDIAN
	OFFERED=$(stat_of offered) BOUND=$(stat_of bound_total) FULL=$(reject_of bucket-full)
	MEANWHILE='' AFTERWARDS='' QUEUES=''
	flooding "$@" >/tmp/flood 2>&1 &
	pid=$!
	usleep 500000
	lan ping -q -i 0.05 -c $((FLOOD_SECONDS * 20)) -W $((2 * SLOW)) "$LAN_ROUTER4" >/tmp/ping 2>&1 &
	ping=$!
	echoes "in the flood" "$FLOOD_SECONDS" || return 1
	IN_FLOOD=$MEDIAN BY_CPU=$CPU LOST_IN_FLOOD=$LOST
	if fresh $((FLOOD_SECONDS + 100)) >/tmp/why; then MEANWHILE=$TOOK; else peer close fresh; fi
	wait $ping
	wait $pid || { cat /tmp/flood >/tmp/why; return 1; }
	# nft -c creates a flowtable and removes it at once; the kernel waits for its queues then.
	took probe >/tmp/why && QUEUES=$TOOK
	fresh_or_next 5 >/tmp/why && AFTERWARDS=$TOOK
	OFFERED=$(($(stat_of offered) - OFFERED)) BOUND=$(($(stat_of bound_total) - BOUND))
	FULL=$(($(reject_of bucket-full) - FULL))
	echoes after 0.5 || return 1
	IDLE=$(((idle + MEDIAN) / 2))
}
# If this machine does something else for a moment, that may spoil one measurement.
measured()
{
	local n
	for n in 1 2 3; do
		try "$@" || return 1
		[ "$IN_FLOOD" -gt $((2 * IDLE)) ] || [ "$LOST_IN_FLOOD" -gt 0 ] || break
	done
}

# flood KIND ARG…: makes POINTS points
flood()
{
	local memory good=false most=$((2000 * SLOW))
	KIND=$1
	objects >/tmp/before
	memory=$(available)
	measured "$@" && good=true
	check "$KIND: is measured" "$good"
	$good || sed 's/^/#   /' /tmp/why
	# The kernel queues the flows of these; each direction may take 5 ms.
	case $KIND in flows | bucket) most=$((most + 5 * OFFERED * SLOW)) ;; esac
	note "$KIND: $(tr '\n' ' ' </tmp/flood)"
	note "$KIND: $OFFERED directions offered, $BOUND bound, $FULL refused: bucket-full"
	note "$KIND: ping of the router: $(grep -E 'loss|rtt' /tmp/ping | tr '\n' ' ')"
	note "$KIND: a new flow is offloaded in $MEANWHILE ms, afterwards in $AFTERWARDS ms; queues are empty after $QUEUES ms"
	check "$KIND: in hardware a round trip takes no more than twice as long" [ "$IN_FLOOD" -le $((2 * IDLE)) ]
	check "$KIND: all round trips are in hardware" equal packets "$BY_CPU" 0
	check "$KIND: no round trip is lost" equal packets "$LOST_IN_FLOOD" 0
	check "$KIND: the router answers" answers
	check "$KIND: in the flood a new flow is offloaded in its turn" [ "${MEANWHILE:-999999}" -lt $most ]
	check "$KIND: afterwards a new flow is offloaded at once" [ "${AFTERWARDS:-999999}" -lt $((1000 * SLOW)) ]
	check "$KIND: the kernel's queues become empty soon" [ "${QUEUES:-999999}" -lt $most ]
	case $KIND in
	flows) check "$KIND: most flows are offloaded" [ "$BOUND" -gt "$(awk '$1 == "sent" { print $2 }' /tmp/flood)" ] ;;
	# Two new flows, and the live one if it was bound again.
	scan) check "$KIND: no flow of it is offloaded" [ "$BOUND" -le 6 ] ;;
	bucket) check "$KIND: most flows are refused" [ "$FULL" -ge $((FLOOD_FLOWS / 2)) ] ;;
	storm) check "$KIND: both processors give commands" grep -qx 'cpus 2' /tmp/flood ;;
	esac
	conntrack -F >/dev/null 2>&1
	check "$KIND: no flow of it stays bound" wait_for $((FLOWTABLE_TIMEOUT + 10 + OFFERED / 1000)) others_bound 0
	if [ "$SLOW" -gt 1 ]; then
		ktap_test_skip "$KIND: memory is as it was: this kernel keeps what was freed, and looks for leaks itself"
	else
		check "$KIND: memory is as it was" wait_for $((5 + OFFERED / 1000)) memory_back /tmp/before $((OFFERED / 2))
	fi
	note "$KIND: $((memory - $(available))) kB less are available than before"
	check "$KIND: the audit is clean" audit_clean
}

# bucket_of SRC:PORT DST:PORT: the bucket in which the engine looks for that flow
bucket_of() { lab bucket --src "$1" --dst "$2" | awk '$1 == "index" { print $2 }'; }
# buckets: the bucket of the live flow, and those that flood.py needs
buckets()
{
	local n
	bucket_of "$LAN_HOST4:$LIVE" "$WAN_HOST4:$LIVE"
	bucket_of "$FROM:0" "$TO:0"
	for ((n = 1; n < 65536; n *= 2)); do bucket_of "$FROM:$n" "$TO:0"; done
	for ((n = 1; n < 65536; n *= 2)); do bucket_of "$FROM:0" "$TO:$n"; done
}

sysctl -qw net.netfilter.nf_conntrack_max=262144
ip neigh replace $FROM lladdr "$LAN_HOST_MAC" dev lan nud permanent
ip neigh replace $TO lladdr "$WAN_HOST_MAC" dev wan nud permanent
# An access to a register of the emulated engine takes tens of microseconds. While a worker waits
# for it, the kernel starts others for the rest of the queue, up to 1024, and keeps them for five
# minutes. One worker for each processor does as much.
for file in /sys/devices/virtual/workqueue/nf_ft_offload_*/max_active; do
	nproc >"$file"
done
slots=$(sed -n 's/^entries: //p' "$ENGINE/status") ppes=$(sed -n 's/^ppes: //p' "$ENGINE/status")
RATE=$((4 * slots / ppes / 60 / SLOW))
note "4 flows a minute for each of the $((slots / ppes)) slots of a PPE: $RATE a second"
apart || note "engine and hosts share the processors with everything else: $(tail -n 1 "$OUT")"
# By policy this chain keeps no flow in software.
echo refuse_netdev_chains 0 >"$ENGINE/policy"
nft -f - <<-NFT
	table netdev watch {
		counter live { }
		chain ingress {
			type filter hook ingress devices = { lan, wan } priority -10;
			ip saddr $LAN_HOST4 udp dport $LIVE counter name live
			ip saddr $WAN_HOST4 udp sport $LIVE counter name live
		}
	}
NFT
check "the ruleset loads" ruleset hardware
open_flow live $LIVE >/dev/null
peer echo live 1 >/dev/null
check "a flow is offloaded" bound_is 2 ":$LIVE"
open_flow steady $STEADY >/dev/null
check "a second flow, which goes on all the time, is offloaded" offloaded steady ":$STEADY"
peer stream steady both 20 100 >/dev/null
peer capture off >/dev/null

for kind in $FLOODS; do
	case $kind in
	flows) flood flows $((FLOOD_SECONDS + 1)) $RATE $FROM $TO ;;
	scan) flood scan $((FLOOD_SECONDS + 1)) $RATE $FROM "$WAN_HOST4" $TO ;;
	bucket)
		# All flows exist at once.
		flowtable_timeout 300
		mapfile -t at < <(buckets)
		# A kernel with checks cannot handle more packets a second than this.
		flood bucket "$FLOOD_FLOWS" $((SLOW > 1 ? RATE : 2 * RATE)) $FROM $TO "${at[@]}"
		flowtable_timeout "$FLOWTABLE_TIMEOUT"
		;;
	storm) flood storm $((FLOOD_SECONDS + 1)) ;;
	esac
done

peer halt live >/dev/null
check "the steady flow ends" peer halt steady
check "no packet of it was lost" all_arrived
check "the module never quarantined the engine" equal quarantined "$(stat_of quarantined)" 0
nft delete table inet fw4
check "nothing stays bound" engine_bound_is 0
finish
