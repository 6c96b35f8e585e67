# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Hardware changes frames as the kernel's software path does. For encap.sh, switch.sh and
# bridged.sh.

# How many points like_software makes.
# shellcheck disable=SC2034 # used by the tests
LIKE_POINTS=6

# changed FROM TO "FILTER…" "FILTER…": CHANGES is how the router changed the frames
changed()
{
	# shellcheck disable=SC2086 # words
	wait_for 1 peer changes "$1" "$2" $3 to $4 && CHANGES=$(field changes)
}

# both_changed FROM TO UP_OUT UP_IN DOWN_OUT DOWN_IN: UP and DOWN are how it changed those there and
# back
both_changed()
{
	changed "$1" "$2" "$3" "$4" && UP=$CHANGES && changed "$2" "$1" "$5" "$6" && DOWN=$CHANGES
}

# check_changes WHAT FROM TO UP_OUT UP_IN DOWN_OUT DOWN_IN: two points; they are still UP and DOWN
check_changes()
{
	like() { changed "$1" "$2" "$3" "$4" && equal "what changed" "$CHANGES" "$5"; }
	check "$1: the frames came out at the other host as by software" like "$2" "$3" "$4" "$5" "$UP"
	check "$1: the frames came back as by software" like "$3" "$2" "$6" "$7" "$DOWN"
}

# like_software WHAT PROTO FROM TO DST DPORT UP_OUT UP_IN DOWN_OUT DOWN_IN [OPEN_ARG…]
#
# The same flow goes by the kernel's software path and by hardware: both change the same fields of
# the headers in the same way, and no others. UP_OUT to DOWN_IN are filters of traffic.py without
# proto, as in forwarded_by_hardware. FROM and TO are the hosts at which frames are compared;
# `from=` as the first OPEN_ARG names another host that opens the flow.
like_software()
{
	local what=$1 proto=$2 from=$3 to=$4 dst=$5 dport=$6 who=$3 UP DOWN
	local up_out="proto=$2 $7" up_in="proto=$2 $8" down_out="proto=$2 $9" down_in="proto=$2 ${10}"
	shift 10
	case ${1-} in from=*) who=${1#from=}; shift ;; esac

	by_software()
	{
		nft delete table inet fw4 2>/dev/null
		conntrack -F >/dev/null 2>&1
		ruleset software && peer capture && peer open f "$proto" "$who" "$dst" "$dport" "$@" &&
			peer send f both 60 150 gap=1 || return 1
		conntrack -L -p "$proto" 2>/dev/null | grep "dport=$dport" | grep OFFLOAD || return 1
		both_changed "$from" "$to" "$up_out" "$up_in" "$down_out" "$down_in" && peer close f
	}
	by_hardware()
	{
		nft delete table inet fw4
		conntrack -F >/dev/null 2>&1
		ruleset hardware && peer open f "$proto" "$who" "$dst" "$dport" "$@" && offloaded f "" && engine_bound_is 2
	}
	check "$what: forwarded by the software path" by_software "$@"
	note "up: $UP"
	note "down: $DOWN"
	check "$what: both directions are bound" by_hardware "$@"
	check "$what: under 1 % of the frames reach the router" few_reach_router f 250
	check_changes "$what" "$from" "$to" "$up_out" "$up_in" "$down_out" "$down_in"
	check "$what: ends" peer close f
}
