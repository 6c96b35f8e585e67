#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# debugfs shows the right values, and reading it changes no count, however often it is read.
. "$(dirname "$0")/../lib/lib.sh"
begin 7

check "the ruleset loads" ruleset hardware
peer capture >/dev/null
check "a flow is offloaded" flow_offloaded f 5201 alone sport=40001

# With several PPEs each direction is in the PPE of its port, with one PPE both are in it.
ppes=$(awk '$1 == "ppes:" { print $2 }' "$ENGINE/status")
want="1 1"
[ "$ppes" -gt 1 ] || want="2 0"
ppe_bound()
{
	equal "bound in the first two PPEs" \
		"$(engine ppe.0.bound) $(engine ppe.1.bound || echo 0)" "$want"
}
check "each direction is in the PPE of its port" ppe_bound
# Slots are counted through all PPEs.
slots_ppe()
{
	local slot n=(0 0 0)
	while read -r slot _; do
		n[16#$slot / 0x4000]=$((n[16#$slot / 0x4000] + 1))
	done <"$ENGINE/bind"
	equal "slots of the first two PPEs" "${n[0]} ${n[1]}" "$want"
}
check "each direction has a slot there" slots_ppe

read_all()
{
	local n
	for n in $(seq 100); do
		cat "$ENGINE/status" "$ENGINE/bind" "$ENGINE/entries" "$ENGINE/stats" "$ENGINE/rejects" || return 1
	done >/dev/null
}
peer stream f up 200 100 >/dev/null
check "each file is read a hundred times under traffic" read_all
peer halt f >/dev/null
peer close f >/dev/null
check "the flow ends" wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
check_counts "conntrack's count is still exact" exact udp dport=5201 \
	lan "proto=udp src=$LAN_HOST4 dst=$WAN_HOST4 dport=5201" \
	wan "proto=udp src=$WAN_HOST4 dst=$LAN_HOST4 sport=5201"
finish
