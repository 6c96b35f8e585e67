#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --memory 1G --program trace-cmd --program perf --program bpftrace
# slow kernels: bpftrace needs BTF, which this kernel has not; tracepoints.sh reads the events
# trace-cmd, perf and bpftrace read the tracepoints, with the commands of
# Documentation/ABI/testing/tracepoints-nft_offload.
. "$(dirname "$0")/../lib/lib.sh"
begin 11

mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
cd /tmp || exit

# A flow that is bound and ends, and a flow that is refused.
flow()
{
	peer open f udp lan "$WAN_HOST4" 5201 sport=40001 && offloaded f 5201 && peer close f &&
		wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0 5201
}
more() { [ "$(reject_of nat66)" -gt "$1" ]; }
refused()
{
	local before
	before=$(reject_of nat66)
	peer open g udp lan "$WAN_HOST6" 5206 && wait_for 5 more "$before" && peer close g
}

# The tools run `bash traffic WHAT` as soon as they listen. Only this shell reaches the hosts, so
# that program asks this shell.
mkfifo ask answer
cat >traffic <<-'TRAFFIC'
	echo "$1" >ask
	read -r status <answer
	exit "$status"
TRAFFIC
serve()
{
	local what
	while read -r what <ask; do
		"$what" >>served 2>&1
		echo $? >answer
	done
}
serve &
server=$!

# has COUNT PATTERN FILE: lines of what a tool has printed
has()
{
	local n
	n=$(grep -cE "$2" "$3")
	equal "lines with '$2'" "$n" "$1" || { tail -n 20 "$3"; return 1; }
}

ORIG="orig=$LAN_HOST4:40001->$WAN_HOST4:5201"
ruleset hardware
nft add chain inet fw4 six '{ type nat hook postrouting priority srcnat; }'
nft add rule inet fw4 six meta nfproto ipv6 udp dport 5206 masquerade

check "trace-cmd records, one event with a filter" trace-cmd record -q -e nft_offload:nft_offload_bind \
	-f "orig ~ \"*$LAN_HOST4:*->*\"" -e nft_offload:nft_offload_unbind bash traffic flow
trace-cmd report >out 2>&1
check "the trace has one direction" has 1 " nft_offload_bind: +device=.* proto=udp $ORIG .* why=new" out
check "the trace has no other direction" has 1 ' nft_offload_bind: ' out
check "the trace has both unbinds" has 2 ' nft_offload_unbind: +device=.* why=ended' out

check "perf records" perf record -q -a -e 'nft_offload:*' bash traffic flow
perf script -i perf.data >out 2>&1
check "the record has both binds" has 2 ' nft_offload:nft_offload_bind: device=.* why=new' out
check "the record has both unbinds" has 2 ' nft_offload:nft_offload_unbind: device=.* why=ended' out

# shellcheck disable=SC2016 # not the shell's
check "bpftrace reads addresses and counters" bpftrace -o out -c "bash traffic flow" -e 'tracepoint:nft_offload:nft_offload_unbind {
	printf("%s %s %d packets, %s\n", ntop(args.family, args.saddr), args.orig, args.packets, args.why); }'
check "both are right" has 1 "^$LAN_HOST4 ${ORIG#orig=} [0-9]+ packets, ended$" out
check "bpftrace counts refusals by reason" bpftrace -o out -c "bash traffic refused" -e '
	tracepoint:nft_offload:nft_offload_reject { @[args.reason, args.in_dev, args.out_dev] = count(); }'
check "the reason and the devices are right" has 1 '^@\[nat66, lan, wan\]: [0-9]+$' out
kill $server
finish
