#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# One flow more than a bucket of the engine's table has slots. The module refuses and counts
# it while all slots are in use, and evicts a flow for it that has been idle for long enough.
# The counts of the evicted flow are not lost.
. "$(dirname "$0")/../lib/lib.sh"
begin 20

# The kernel must not end the idle flow before the module evicts it.
flowtable_timeout 30
DPORT=5501 FIRST=40001
lab bucket --src "$LAN_HOST4:$FIRST" --dst "$WAN_HOST4:$DPORT" >/tmp/bucket
slots=$(grep -c '^usable' /tmp/bucket)
mapfile -t sports < <(echo $FIRST; awk -v n="$slots" '/^ports/ && n-- > 0 { print $2 }' /tmp/bucket)
note "slots $(awk '/^usable/ { printf "%s ", $2 }' /tmp/bucket)are those of the source ports ${sports[*]}"
last=$((slots - 1)) extra=${sports[slots]}

# up_bound COUNT SPORT: whether the direction that is in the bucket is bound
up_bound() { bound_is "$1" ":$2->$WAN_HOST4:$DPORT"; }
bound_with() { peer send "$1" both 1 100 && up_bound 1 "$2"; }
open_flow() { peer open "$1" udp lan "$WAN_HOST4" $DPORT "sport=$2"; }
fill()
{
	local n
	for n in $(seq 0 $last); do
		open_flow "f$n" "${sports[n]}" && wait_for 5 bound_with "f$n" "${sports[n]}" &&
			peer stream "f$n" up 20 100 || return 1
	done
}
full()
{
	equal bucket_full "$(stat_of bucket_full)" "$(reject_of bucket-full)" && [ "$(reject_of bucket-full)" -gt "$1" ]
}
all_streams()
{
	local n
	for n in $(seq 0 "$1"); do
		up_bound 1 "${sports[n]}" || return 1
	done
}

check "the ruleset loads" ruleset hardware
peer capture >/dev/null
check "as many flows as the bucket has slots are bound" fill
check "no flow was refused" equal bucket-full "$(reject_of bucket-full)" 0
check "one more opens" open_flow more "$extra"
check "it is refused: bucket-full" wait_for 3 full 0
check "its traffic goes by CPU" peer send more both 30 100 gap=2
check "it is not bound" up_bound 0 "$extra"
sleep $((FLOWTABLE_TIMEOUT + 5))
check "flows in use stay bound" all_streams $last
check "no flow is evicted" equal evicted "$(stat_of evicted)" 0

check "one of them stops sending" peer halt f$last
paused=$(date +%s)
check "nothing of it was lost" all_arrived
peer stream more up 5 100 >/dev/null
check "the refused flow is bound" wait_for 20 up_bound 1 "$extra"
idle=$(($(date +%s) - paused))
note "after $idle s"
check "this is not before the other has been idle for long" [ $idle -ge 6 ]
check "the idle flow is not bound any more" up_bound 0 "${sports[last]}"
check "one flow was evicted" equal evicted "$(stat_of evicted)" 1
check "the others are still bound" all_streams $((last - 1))
refused=$(reject_of bucket-full)
check "the evicted flow goes on by CPU" peer send f$last both 30 100 gap=2
check "it is refused now" wait_for 5 full "$refused"

for n in $(seq 0 $((last - 1))); do
	peer halt "f$n" >/dev/null
done
peer halt more >/dev/null
nft delete table inet fw4
check "nothing stays bound" engine_bound_is 0
counts()
{
	local sport
	for sport in "${sports[@]}"; do
		exact udp "sport=$sport dport=$DPORT" lan "proto=udp sport=$sport" wan "proto=udp dport=$sport" || return 1
	done
}
check_counts "conntrack's counts are exact for each flow" counts
finish
