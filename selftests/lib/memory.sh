# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Whether memory is where it was after something was done many times. For tests that read
# lib.sh, in a router with slab_nomerge.

MEMORY_BEFORE=/tmp/memory.before MEMORY_AFTER=/tmp/memory.after

# shrink: what the processors have at hand of each cache of slab goes back to it, at once, or
# after a grace period what waits for one
shrink()
{
	local cache objects
	for cache in /sys/kernel/slab/*; do
		echo 1 >"$cache/shrink"
		read -r objects _ <"$cache/objects"
		echo "${cache##*/} $objects"
	done
}
# figures FILE: what is in use, without the module. An interrupt may have a processor take more
# objects at once, so the least of two counts is taken; before these there is one more, as the
# first one leaves things behind.
figures()
{
	for _ in 0 1 2; do
		# What was used goes when it is asked for again.
		for _ in 1 2 3; do echo 3 >/proc/sys/vm/drop_caches; done
		shrink >/dev/null
		# A pause without a new process. The hosts say nothing unasked.
		read -rt 0.3 -u 8
		echo count
		shrink
	done | awk '
		$1 == "count" { counts++; next }
		counts > 1 && (!($1 in least) || $2 < least[$1]) { least[$1] = $2 }
		END { for (cache in least) print cache, least[cache] }' >"$1"
	awk '/^(MemFree|SUnreclaim|VmallocUsed|Percpu):/ { sub(":", ""); print $1, $2 }' /proc/meminfo >>"$1"
	echo "areas $(grep -vc unpurged /proc/vmallocinfo)" >>"$1"
}

memory_before()
{
	[ "$SLOW" -gt 1 ] || figures $MEMORY_BEFORE
}

# unchanged TIMES: no figure says that something was left every other time, or 64 times. A few
# objects come and go with the shell that counts them, and those of some caches with whatever a
# router does besides, as to speak with the lab: of these a processor may have taken 60 at once.
# Memory is in KiB; that of slab depends on how the objects in use lie.
unchanged()
{
	awk -v objects=$(($1 / 2)) '
		BEGIN {
			if (objects > 64)
				objects = 64
			split("skbuff_head_cache skbuff_small_head maple_node damon_region " \
			      "tcp_bind_bucket tcp_bind2_bucket tw_sock_TCP", busy, " ")
			for (n in busy)
				limit[busy[n]] = 128
			limit["MemFree"] = 2048; limit["SUnreclaim"] = 512; limit["VmallocUsed"] = 80
			limit["Percpu"] = 16
		}
		NR == FNR { before[$1] = $2; next }
		{
			grown = $2 - before[$1]
			if ($1 == "MemFree")
				grown = -grown
			if (grown)
				line = line " " $1 " " grown
			if (grown > ($1 in limit ? limit[$1] : objects)) {
				print $1 ": " before[$1] " before, " $2 " after"
				bad = 1
			}
		}
		END { print "more than before:" line; exit bad || FNR < 50 }' $MEMORY_BEFORE $MEMORY_AFTER
}

# memory_is_back WHAT TIMES: the point, for what was done that often since memory_before
memory_is_back()
{
	if [ "$SLOW" -gt 1 ]; then
		ktap_test_skip "$1: memory: this kernel keeps what was freed, for its checks"
		return
	fi
	# A processor may have taken some just then; what was left behind stays.
	for _ in 1 2 3 4; do
		figures $MEMORY_AFTER
		! unchanged "$2" >/dev/null || break
	done
	check "$1: memory is where it was" unchanged "$2"
	note "$(tail -n 1 "$OUT")"
}
