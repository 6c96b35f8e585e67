#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# check-all: SOAK_SECONDS=600 timeout=900
# oracle: none
# Everything that may happen to a router, in random order, for half a minute; `make soak` takes
# longer. Every few operations the test compares hardware and module. SOAK_SEED= gives the same
# operations again.
. "$(dirname "$0")/../lib/lib.sh"
begin 7

SOAK_SECONDS=${SOAK_SECONDS-30}
SOAK_SEED=${SOAK_SEED-77}
FAR4=198.51.100.9	# a host behind the wan's, whose route changes
FLOWS=10

declare -A COUNT	# of operations, by name
declare -a OPEN RUNS	# which flows are open, and which of them have a stream
OPS=0 FAILURES=0 AUDITS=0 BOUND=0 BYTES=0 MODE=hardware

# pick N: PICK is a number below N. A subshell would not advance the sequence.
pick() { PICK=$(((RANDOM * 32768 + RANDOM) % $1)); }

# --- totals ----------------------------------------------------------------------------------

# harvest: adds the module's counts to the totals, before the module goes.
harvest()
{
	[ -e "$ENGINE/stats" ] || return 0
	BOUND=$((BOUND + $(stat_of bound_total) - SEEN_BOUND))
	BYTES=$((BYTES + $(stat_of bytes) - SEEN_BYTES))
	SEEN_BOUND=$(stat_of bound_total) SEEN_BYTES=$(stat_of bytes)
}
fresh() { SEEN_BOUND=0 SEEN_BYTES=0; }

# --- the comparison --------------------------------------------------------------------------

# The sums of faults in the audit are 0.
audit_is_clean()
{
	awk '/^(orphans|mismatches|stale|ownerless|index) / && $2 != 0 { print; bad = 1 } END { exit bad }' "$ENGINE/audit"
}
same_in_hardware() { engine_bound_is "$(stat_of bound_now)"; }
audit()
{
	local how=same_in_hardware
	[ -e "$ENGINE/audit" ] && how=audit_is_clean
	AUDITS=$((AUDITS + 1))
	wait_for 8 "$how"
}

# --- operations --------------------------------------------------------------------------------

# Operations do not check packets: links, routes and rulesets are missing at times.
op_open()
{
	local n proto dst
	pick $FLOWS; n=$PICK
	pick 3; proto=udp; [ "$PICK" = 0 ] && proto=tcp
	pick 4; dst=$WAN_HOST4
	[ "$PICK" = 0 ] && dst=$WAN_HOST6
	[ "$PICK" = 1 ] && proto=udp && dst=$FAR4
	[ -z "${OPEN[n]-}" ] || return 0
	peer open "f$n" "$proto" lan "$dst" $((5300 + n)) && OPEN[n]=1 RUNS[n]=
	return 0
}
op_close()
{
	local n how
	pick $FLOWS; n=$PICK
	pick 3; how=close; [ "$PICK" = 0 ] && how=reset
	[ "${OPEN[n]-}" ] || return 0
	peer $how "f$n"
	OPEN[n]='' RUNS[n]=''
}
op_send()
{
	local n
	pick $FLOWS; n=$PICK
	[ "${OPEN[n]-}" ] || return 0
	if [ "${RUNS[n]}" ]; then
		peer halt "f$n"
		RUNS[n]=''
	else
		peer stream "f$n" up 15 200 && RUNS[n]=1
	fi
	return 0
}
op_reload() { ruleset "$MODE"; }
op_mode()
{
	pick 3
	case $PICK in
	0) MODE=software ;;
	*) MODE=hardware ;;
	esac
	ruleset "$MODE"
}
op_nat() { MASQ=1 ruleset "$MODE"; }
op_flowtable() { nft delete table inet fw4 && ruleset "$MODE"; }
op_conntrack() { conntrack -F; }
op_link()
{
	local dev=lan address=$LAN_ROUTER6
	pick 2; [ "$PICK" = 0 ] && dev=wan address=$WAN_ROUTER6
	ip link set $dev down && ip link set $dev up || return 1
	ip -6 addr replace "$address/64" dev $dev || return 1
	[ $dev = lan ] || ip route replace $FAR4/32 via "$WAN_HOST4" || return 1
	warm_up
	return 0
}
op_neighbour()
{
	pick 3
	case $PICK in
	0) ip neigh flush dev wan ;;
	1) ip neigh flush dev lan ;;
	2) ip neigh replace "$WAN_HOST4" lladdr 02:00:00:00:02:77 dev wan nud reachable &&
		ip neigh replace "$WAN_HOST4" lladdr "$WAN_HOST_MAC" dev wan nud stale ;;
	esac
}
op_route()
{
	pick 3
	case $PICK in
	0) ip route replace $FAR4/32 via "$WAN_HOST4" ;;
	1) ip route replace $FAR4/32 via "$LAN_HOST4" ;;
	# A port that went down may have taken the route along.
	2) ip route del $FAR4/32 2>/dev/null; ip route replace $FAR4/32 via "$WAN_HOST4" ;;
	esac
}
op_flush()
{
	pick 3
	case $PICK in
	0) echo all >"$ENGINE/flush" ;;
	1) echo "dev lan" >"$ENGINE/flush" ;;
	2) echo "dev wan" >"$ENGINE/flush" ;;
	esac
}
op_pause()
{
	pick 2
	echo "$PICK" >"$ENGINE/pause"
}
op_policy()
{
	local key
	pick 3; key=ipv4; [ "$PICK" = 0 ] && key=ipv6
	[ "$PICK" = 1 ] && key=refuse_shaped
	# Mostly the default.
	pick 3
	echo "$key $((PICK > 0))" >"$ENGINE/policy"
}
op_read()
{
	cat "$ENGINE"/flows "$ENGINE"/bind "$ENGINE"/entries "$ENGINE"/rejects "$ENGINE"/stats "$ENGINE"/status >/dev/null
}
reload_module()
{
	harvest
	rmmod nft_offload && insmod "$MODULE" && find_engine || return 1
	fresh
	ruleset "$MODE"
}
op_module() { reload_module; }
op_unplug()
{
	harvest
	# The slot becomes free some time after the kernel has removed the engine.
	lab unplug && wait_for 10 not test -e "$ENGINE" && wait_for 10 lab plug &&
		wait_for 10 find_engine || return 1
	fresh
	ruleset "$MODE"
}
# The engine fails for a moment; then the module is loaded again.
op_fault()
{
	local fault
	pick 3
	case $PICK in
	0) fault=dead ;;
	1) fault=stuck-busy ;;
	2) fault=mib-stuck ;;
	esac
	vppectl fault $fault on || return 1
	ruleset hardware
	peer burst f0 up 5 100
	usleep 300000
	vppectl fault $fault off || return 1
	# Nobody knows which commands the engine did not execute meanwhile.
	reload_module
}

# Another operation hits a flow: conntrack still counts each of its packets.
MEANWHILE=(reload mode flowtable flush pause policy read)
op_count()
{
	local tuple
	pick ${#MEANWHILE[@]}
	peer open counted udp lan "$WAN_HOST4" 5390 || return 1
	tuple="sport=$(field sport) dport=5390"
	peer send counted both 30 100 gap=2 && "op_${MEANWHILE[PICK]}" &&
		peer send counted both 30 100 gap=2 || return 1
	# The first one each way has 5 bytes, as headers all have 28.
	wait_for 8 accounted_is udp "$tuple" "61 7713 61 7713" && peer close counted
}

# An operation that stands here more often is more likely.
OPERATIONS=(open open open open open open close close send send send send reload mode nat flowtable
	conntrack link neighbour neighbour route route flush flush pause pause policy policy read read
	module unplug fault count count)

soak()
{
	local end op said=$SECONDS
	end=$((SECONDS + SOAK_SECONDS))
	while [ $SECONDS -lt $end ]; do
		pick ${#OPERATIONS[@]}
		op=${OPERATIONS[PICK]}
		OPS=$((OPS + 1)) COUNT[$op]=$((${COUNT[$op]-0} + 1))
		if ! "op_$op" >/tmp/soak.op 2>&1; then
			FAILURES=$((FAILURES + 1))
			echo "# operation $OPS, $op, failed:" >&3
			sed 's/^/#   /' /tmp/soak.op | head -n 5 >&3
		fi
		if [ $((OPS % 6)) = 0 ] && ! audit >/tmp/soak.op 2>&1; then
			FAILURES=$((FAILURES + 1))
			echo "# after operation $OPS, $op, hardware and module differ:" >&3
			sed 's/^/#   /' /tmp/soak.op | head -n 10 >&3
		fi
		if [ $((SECONDS - said)) -ge 15 ]; then
			said=$SECONDS
			echo "# $OPS operations, $((end - SECONDS)) s to go" >&3
		fi
	done
	harvest
	[ "$FAILURES" = 0 ]
}

exec 3>&1
note "seed $SOAK_SEED, $SOAK_SECONDS s"
wan ip addr add $FAR4/32 dev eth0
ip route replace $FAR4/32 via "$WAN_HOST4"
fresh
RANDOM=$SOAK_SEED
check "the ruleset loads" ruleset hardware
check "every operation succeeds, and hardware and module agree" soak
for op in "${!COUNT[@]}"; do echo "$op ${COUNT[$op]}"; done | sort | xargs echo "#  " 
note "$OPS operations, $BOUND flows bound, $BYTES bytes by hardware, $AUDITS audits, $FAILURES failures; seed $SOAK_SEED"
check "flows were in hardware" [ "$BOUND" -gt $((SOAK_SECONDS / 10)) ]

for n in $(seq 0 $((FLOWS - 1))); do
	[ -z "${OPEN[n]-}" ] || peer close "f$n" >/dev/null
done
wan ip addr del $FAR4/32 dev eth0
conntrack -F >/dev/null 2>&1
check "nothing stays in hardware" wait_for $((FLOWTABLE_TIMEOUT + 10)) nothing_left
for line in "ipv4 1" "ipv6 1"; do echo "$line" >"$ENGINE/policy"; done
echo 0 >"$ENGINE/pause"
ruleset hardware
warm_up
check "a flow is offloaded" flow_offloaded last 5399 alone
peer close last >/dev/null
check "it ends" wait_for $((FLOWTABLE_TIMEOUT + 6)) nothing_left
check "no memory leaked, as far as this kernel can tell" "$here/leaks"
finish
