#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vppe-arg=--rx-words
# oracle: none
# slow kernels: the kernel's driver looks flows up without the RCU lock, which this kernel reports
# The kernel's own driver of these engines, unmodified, drives the emulated engine in place of
# nft_offload. The engine learns flows from frames, and the driver binds them. If the engine does
# not forward these flows correctly, the model is wrong.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/encap.sh"
begin $((8 + 8 * (LIKE_POINTS + 1) + 6)) none

needs_oracle
REPORT=/sys/kernel/debug/nft_offload_oracle

# report KEY: a value of the driver's stand-in
report() { value_of "$1" "$REPORT"; }

# offloaded FLOW: as in lib.sh, but the driver binds a flow with 30 packets in a second
offloaded()
{
	local n
	for n in 1 2 3 4 5 6 7 8 9 10; do
		peer send "$1" both 60 100 || return 1
		wait_for 1 engine_bound_is 2 >/dev/null && return 0
	done
	echo "not bound after $n tries:"
	cat "$REPORT"
	lab engine stats | grep '^ppe'
	conntrack -L 2>/dev/null | head -n 6
	return 1
}

# The kernel has removed all flows. If a flowtable goes before its flows, this driver does not
# notice: it keeps their entries bound, and takes later flows for them.
all_ended() { equal "flows ended" "$(report destroyed)" "$(report accepted)" && engine_bound_is 0; }

# forwarded WHAT PROTO LAN_TAGS HERE SEEN THERE: a flow from HERE to THERE, which sees the address
# SEEN, is forwarded as by software
port=5300
forwarded()
{
	local what=$1 proto=$2 tags=$3 here=$4 seen=$5 there=$6
	port=$((port + 1))
	like_software "$what" "$proto" lan wan "$there" $port \
		"$tags src=$here dst=$there dport=$port" "vlan=None src=$seen dst=$there dport=$port" \
		"vlan=None src=$there dst=$seen sport=$port" "$tags src=$there dst=$here sport=$port" \
		sport=$((port + 10000))
	check "$what: leaves the hardware" wait_for $((FLOWTABLE_TIMEOUT + 10)) all_ended
}

check "the driver takes the engine" insmod "$ORACLE" drive=1
check "the ruleset loads" ruleset hardware

# A flow below the rate at which the engine tells the driver.
learned() { [ "$(ppe_sum unbound)" -ge 2 ]; }
peer open f udp lan "$WAN_HOST4" 5201 >/dev/null
check "a flow of 10 frames a second passes" peer send f both 20 100 gap=100
check "the engine has learned it" learned
check "the driver knows its rules" test "$(report accepted)" -ge 2
check "the engine did not tell the driver" equal "frames that reached the rate" "$(report rate_reached)" 0
check "it is not bound" engine_bound_is 0
peer close f >/dev/null
check "it ends" wait_for $((FLOWTABLE_TIMEOUT + 10)) all_ended

forwarded "IPv4, UDP" udp "vlan=None" "$LAN_HOST4" "$LAN_HOST4" "$WAN_HOST4"
forwarded "IPv4, TCP" tcp "vlan=None" "$LAN_HOST4" "$LAN_HOST4" "$WAN_HOST4"
MASQ=1
forwarded "IPv4 with SNAT, UDP" udp "vlan=None" "$LAN_HOST4" "$WAN_ROUTER4" "$WAN_HOST4"
forwarded "IPv4 with SNAT, TCP" tcp "vlan=None" "$LAN_HOST4" "$WAN_ROUTER4" "$WAN_HOST4"
forwarded "IPv6, UDP" udp "vlan=None" "$LAN_HOST6" "$LAN_HOST6" "$WAN_HOST6"
forwarded "IPv6, TCP" tcp "vlan=None" "$LAN_HOST6" "$LAN_HOST6" "$WAN_HOST6"
set_up 10 - >"$OUT" 2>&1 || sed 's/^/# /' "$OUT"
forwarded "from a VLAN, UDP with SNAT" udp "vlan=10" "$HERE4" "$WAN_ROUTER4" "$WAN_HOST4"
forwarded "from a VLAN, IPv6" tcp "vlan=10" "$HERE6" "$HERE6" "$WAN_HOST6"
tear_down 10 - >/dev/null 2>&1

# The engine's counts reach conntrack. Frames from before the binding may be missing: the driver
# makes an entry valid before it makes the engine count it.
counted()
{
	local before up down
	wait_for 6 settled || return 1
	read -r -a before <<<"$(accounted udp dport=5202)"
	peer capture
	peer send f both 200 300 || return 1
	peer count lan out "proto=udp" "src=$LAN_HOST4" dport=5202 || return 1
	up="$((before[0] + $(field frames))) $((before[1] + $(field bytes)))"
	peer count wan out "proto=udp" "src=$WAN_HOST4" sport=5202 || return 1
	down="$((before[2] + $(field frames))) $((before[3] + $(field bytes)))"
	wait_for 6 accounted_is udp dport=5202 "$up $down"
}

# The kernel asked the driver twice, and got no new counts.
settled()
{
	local before
	before=$(accounted udp dport=5202)
	usleep 2200000
	equal "packets and bytes" "$(accounted udp dport=5202)" "$before"
}

flowtable_timeout 10
check "the ruleset loads again" ruleset hardware
peer open f udp lan "$WAN_HOST4" 5202 >/dev/null
check "a flow is bound" offloaded f
if [ "$(report accounting)" = 1 ]; then
	check "hardware's frames are counted to the byte" counted
else
	ktap_test_skip "hardware's frames are counted to the byte: $(report chip) has no counters for flows"
fi
check "each frame had a receive word" equal "frames without" "$(report unmarked)" 0
check "the driver unloads" rmmod nft_offload_oracle
check "nothing stays bound" engine_bound_is 0
finish
