#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own
# The audit is clean with flows and without. It finds changes of the hardware's table behind the
# module's back: an entry without a flow, a missing entry. It says why a connection is bound in one
# direction only, and changes no count.
. "$(dirname "$0")/../lib/lib.sh"
begin 25

# No flow is to end by itself.
flowtable_timeout 30
# A static entry: the engine does not age it.
STATE_BOUND=$((1 << 31 | 2 << 28)) ENTRIES=16384

# poke SLOT WORD VALUE
poke() { vppectl poke $((0x$1 / ENTRIES)) $((0x$1 % ENTRIES)) "$2" "$3"; }

# slot_of PATTERN: the slot of the one flow with it
slot_of() { grep -F "$1" "$ENGINE/flows" | sed -n 's/^slot=\([0-9a-f]*\) .*/\1/p'; }

# found KIND COUNT [LINE]: the audit has so many faults of that kind and no others, and a line
# with LINE
found()
{
	cat "$ENGINE/audit" >/tmp/audit
	cat /tmp/audit
	awk -v kind="$1" -v count="$2" '
		/^(orphans|mismatches|stale|ownerless|index) / && $2 != ($1 == kind ? count : 0) { wrong = 1 }
		END { exit wrong }' /tmp/audit && { [ -z "${3-}" ] || grep -qE "$3" /tmp/audit; }
}

sums() { audit_of flows && audit_of bound && audit_of half_bound; }

# command_says STATUS PATTERN: nft-offload ends with that status and prints such a line
command_says()
{
	local got=0
	busybox ash /usr/bin/nft-offload audit >/tmp/audit || got=$?
	cat /tmp/audit
	equal "exit status" $got "$1" && grep -qE "$2" /tmp/audit
}

check "the audit is clean without flows" audit_clean
check "the ruleset loads" ruleset hardware
peer open f udp lan "$WAN_HOST4" 5201 sport=40001 >/dev/null
peer open six udp lan "$WAN_HOST6" 5203 >/dev/null
check "a flow is offloaded" offloaded f ":5201"
check "a flow over IPv6 is, too" offloaded six ":5203"
check "the audit is clean" audit_clean
check "it has seen the flows" equal "flows, bound, half_bound" "$(sums | xargs)" "4 4 0"
check "traffic runs" peer stream f both 20 100
sleep 3
check "the audit is clean under traffic" audit_clean
before=$(stat_of offered)
for _ in 1 2 3 4 5 6 7 8; do cat "$ENGINE/audit" >/dev/null; done
check "the kernel offers no flow when the audit is read" equal offered "$(stat_of offered)" "$before"
peer halt f >/dev/null
check "nothing of the traffic was lost" all_arrived
check "there was some traffic" [ "$(field sent)" -gt 20 ]
check_counts "its counts are exact" exact udp "sport=40001 dport=5201" \
	lan "proto=udp sport=40001" wan "proto=udp dport=40001"

# --- changes behind the module -----------------------------------------------------------
up=$(slot_of "orig=$LAN_HOST4:40001->$WAN_HOST4:5201")
free=$(printf '%05x' $((0x$up ^ 0x100)))
check "an entry without a flow is written" poke "$free" 0 $STATE_BOUND
check "the audit calls it an orphan" found orphans 1 "^orphan slot=$free$"
check "so says nft-offload" command_says 1 '^  orphan 1: '
check "the entry is removed" poke "$free" 0 0
check "the audit is clean" audit_clean

# --- a direction alone ----------------------------------------------------------------------
# The kernel asks for a flow once a second, and would call it aged.
gone()
{
	peer send f both 1 100
	up=$(slot_of "orig=$LAN_HOST4:40001->$WAN_HOST4:5201")
	poke "$up" 0 0 && found mismatches 1 "^mismatch slot=$up "
}
check "an entry that is missing too soon is a mismatch" wait_for 5 gone
alone()
{
	cat "$ENGINE/flows" >/dev/null
	grep "^half_bound .* orig=$WAN_HOST4:5201->$LAN_HOST4:40001 .* opposite=aged$" "$ENGINE/audit"
}
check "then the other direction is alone, and the audit says why" wait_for 5 alone
check "that is no fault" audit_clean
# Another flow that is bound at this port makes the engine read its table, not its cache.
check "another flow comes" flow_offloaded g 5202
check "with the next packets both directions are bound" offloaded f ":5201"
peer close f >/dev/null
peer close six >/dev/null
peer close g >/dev/null
all_gone()
{
	bound_is 0 && equal flows "$(audit_of flows)" 0 && return
	cat "$ENGINE/flows" "$ENGINE/audit"
	conntrack -L 2>/dev/null
	return 1
}
check "conntrack forgets them" conntrack -F
check "hardware and module forget them within seconds" wait_for 4 all_gone
check "the audit is clean" audit_clean
finish
