# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Is the use of memory the same after an operation was done many times? For tests that read
# lib.sh, in a router with slab_nomerge.

MEMORY_BEFORE=/tmp/memory.before MEMORY_AFTER=/tmp/memory.after

# shrink: processors give their free objects back to each cache of slab, at once or after a grace
# period; prints the objects in use
shrink()
{
	local cache objects
	for cache in /sys/kernel/slab/*; do
		echo 1 >"$cache/shrink"
		read -r objects _ <"$cache/objects"
		echo "${cache##*/} $objects"
	done
}
# figures FILE: what is in use, without the module. A processor may take many objects at once in an
# interrupt, so the smaller of two counts is used. One count goes before them, because the first
# count itself leaves objects behind.
figures()
{
	for _ in 0 1 2; do
		# The first call only marks objects as unused; a later call frees them.
		for _ in 1 2 3; do echo 3 >/proc/sys/vm/drop_caches; done
		shrink >/dev/null
		# A pause without a new process. The hosts send no answer without a command.
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

memory_before() { [ "$SLOW" -gt 1 ] || figures $MEMORY_BEFORE; }

# unchanged TIMES: no figure has grown as if something was left every other time, or 64 times. A few
# objects come and go with the shell that counts them. Objects of some caches come and go with other
# work of the router, such as speaking with the lab; a processor may have taken 60 of these at once.
# Memory is in KiB; the memory of slab depends on where the objects in use are.
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

# memory_is_back WHAT TIMES: the point, for an operation that was done so often since memory_before
memory_is_back()
{
	if [ "$SLOW" -gt 1 ]; then
		ktap_test_skip "$1: memory is as before: this kernel keeps freed memory, for its checks"
		return
	fi
	# A processor may have taken objects just then; only what was left behind stays.
	for _ in 1 2 3 4; do
		figures $MEMORY_AFTER
		! unchanged "$2" >/dev/null || break
	done
	check "$1: memory is as before" unchanged "$2"
	note "$(tail -n 1 "$OUT")"
}
