#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vcpus 2
# Ten readers read every file while thousands of flows come: no flow is lost or refused because of
# them, no flow is counted twice, and the flows take no longer.
. "$(dirname "$0")/../lib/lib.sh"
begin 16

CONNECTIONS=$((SLOW > 1 ? 1024 : 8192))		# of two directions each
# The kernel asks for each flow's counters once a second unless its timeout is long.
flowtable_timeout 600
sysctl -qw net.netfilter.nf_conntrack_max=65536

settled()
{
	local n
	n=$(stat_of offered)
	# Ten readers leave a slow kernel little for its workers.
	usleep $((SLOW > 1 ? 5000000 : 500000))
	[ "$(stat_of offered)" = "$n" ] && [ "$n" -gt "$1" ]
}

# fill PORT: many flows come, and the kernel has offered all; TOOK is how long that took (ms)
fill()
{
	local before start
	before=$(stat_of offered) start=$(now_ms)
	many_flows $CONNECTIONS "$1" "$(awk "BEGIN { print 0.0003 * $SLOW }")" || return 1
	wait_for 120 settled "$before" || return 1
	TOOK=$(($(now_ms) - start))
	OFFERED=$(($(stat_of offered) - before)) BOUND=$(stat_of bound_now)
	echo "$OFFERED directions offered, $BOUND bound, $TOOK ms"
}

reader()
{
	while :; do
		cat "$ENGINE"/flows "$ENGINE"/bind "$ENGINE"/rejects "$ENGINE"/stats "$ENGINE"/status "$ENGINE"/audit >/dev/null || exit 1
		echo >>"/tmp/reads.$1"
	done
}

check "the ruleset loads" ruleset hardware
check "thousands of flows come" fill 5301
alone=$TOOK alone_bound=$BOUND
note "alone: $OFFERED directions offered, $BOUND bound, $TOOK ms"
check "thousands are bound" [ "$BOUND" -gt $((CONNECTIONS / 2)) ]
start=$(now_ms)
check "the file flows is read to its end" sh -c "cat $ENGINE/flows >/tmp/flows"
took=$(($(now_ms) - start))
note "$(wc -l </tmp/flows) flows read in $took ms"
check "it has a line for each flow" equal lines "$(wc -l </tmp/flows)" "$(stat_of flows_now)"
check "it has each flow once" equal slots "$(cut -d' ' -f1 /tmp/flows | sort -u | wc -l)" "$(wc -l </tmp/flows)"
check "that took less than ten seconds" [ "$took" -lt 10000 ]
check "the audit of them is clean" audit_clean
note "audit: $(awk '/^(flows|bound|half_bound|took) / { printf "%s %s ", $1, $2 }' /tmp/audit)"
# shellcheck disable=SC2016 # awk's
check "the audit took a quarter of that at most" awk -v ms="$took" '$1 == "took" { exit 4000 * $2 > ms }' /tmp/audit

# This route concerns no flow. The module checks all flows at once, and a second time.
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
record()
{
	local event
	for event in start end; do
		echo "$1" >/sys/kernel/tracing/events/workqueue/workqueue_execute_$event/enable || return 1
	done
}
works()
{
	record 1 && "$@" && sleep "$SLOW" && record 0 || return 1
	# Time is the field before the event's name.
	awk '
		/FirstWalk|SecondWalk/ {
			which = /FirstWalk/ ? "at_once" : "once_more"
			for (i = 1; !index($i, "workqueue_execute"); i++)
				at = $i * 1000
			if (/execute_start/)
				start[which] = at
			else
				took[which] = at - start[which]
		}
		END {
			printf "at once %.1f ms, once more %.1f ms\n", took["at_once"], took["once_more"]
			exit !(took["at_once"] && took["once_more"])
		}' /sys/kernel/tracing/trace
}
flows=$(stat_of flows_now)
check "the module checks all flows after a change" works ip route replace 100.64.0.0/10 dev wan
note "a new route among $flows flows: $(cat "$OUT")"
check "no flow ends" equal flows "$(stat_of flows_now)" "$flows"

echo all >"$ENGINE/flush"
conntrack -F >/dev/null 2>&1
wait_for 20 engine_bound_is 0 >/dev/null

pids=
for n in 1 2 3 4 5 6 7 8 9 10; do
	reader $n &
	pids="$pids $!"
done
check "they come again while ten readers read" fill 5302
# shellcheck disable=SC2086 # words
kill $pids
# shellcheck disable=SC2086 # words
wait $pids 2>/dev/null
note "beside $(cat /tmp/reads.* | wc -l) whole readings: $OFFERED directions offered, $BOUND bound, $TOOK ms"
check "every reader read" equal readers "$(find /tmp -name 'reads.*' | wc -l)" 10
check "as many flows are bound" [ "$BOUND" -ge $((alone_bound * 98 / 100)) ]
check "it took not much longer" [ "$TOOK" -le $((alone * 3 / 2 + 2000)) ]
nft delete table inet fw4
check "nothing stays bound" engine_bound_is 0
finish
