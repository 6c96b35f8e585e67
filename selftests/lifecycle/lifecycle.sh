#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A flow runs while flowtable, rules, ports, conntrack or module come and go. No packet is lost
# where software can go on, hardware forwards nothing that the kernel has forgotten, and in the
# end the flow is in hardware again. After each change the audit is clean.
. "$(dirname "$0")/../lib/lib.sh"
begin 63

# begun: the flow is in hardware, and its traffic runs both ways.
begun()
{
	ruleset hardware && peer open f udp lan "$WAN_HOST4" 5201 && offloaded f ":5201" && peer stream f both 20 100
}
# ended: the traffic ends, and all of it arrived; nothing of the flow is left
ended() { peer halt f && all_arrived && [ "$(field sent)" -gt 5 ] && over; }
# over: nothing of the flow is left
over()
{
	peer close f
	nft flush ruleset
	conntrack -F
	none_bound && wait_for 3 flowtables_are 0
}
# The stream that runs has brought the flow back to hardware.
both_bound() { wait_for 10 bound_is 2 ":5201"; }
back() { both_bound && audit_clean; }

# --- the flowtable ---------------------------------------------------------------------------
without_flowtable()
{
	nft -f - <<-END
		flush chain inet fw4 forward
		add rule inet fw4 forward ct state vmap { established : accept, related : accept }
		add rule inet fw4 forward meta iifname { lan, wan } accept
		delete flowtable inet fw4 ft
	END
}
check "a flow is in hardware" begun
check "its flowtable is deleted" without_flowtable
check "no entry is left when that returns" none_bound
check "the audit is clean" audit_clean
sleep 1
check "the flowtable is added again" ruleset hardware
check "the flow comes back" back
check "nothing was lost, and nothing is left" ended

# --- a second flowtable comes before the first goes ------------------------------------------------------
check "a flow is in hardware" begun
TABLE=second check "a second flowtable has the same ports" ruleset hardware
check "the flow stays" both_bound
check "the first flowtable goes" nft delete table inet fw4
check "the flow comes back in the second flowtable" back
check "nothing was lost, and nothing is left" ended

# --- reloads without end ------------------------------------------------------------------------
# Hardware that fills up with old entries works only for a while.
reloads()
{
	local n
	for n in 1 2 3 4 5 6 7 8 9 10; do
		ruleset hardware && both_bound || { echo "reload $n"; return 1; }
	done
}
check "a flow is in hardware" begun
check "it is in hardware again after each of ten reloads" reloads
check "there are only its two entries" engine_bound_is 2
check "the module knows no other flows" equal flows "$(audit_of flows)" 2
check "the audit is clean" audit_clean
check "nothing was lost, and nothing is left" ended

# --- rules and tables ---------------------------------------------------------------------------
check "a flow is in hardware" begun
check "all rules are flushed, the flowtable stays" nft flush table inet fw4
check "the flow stays too, as it does in the kernel" back
check "the ruleset is flushed" nft flush ruleset
check "no entry is left when that returns" none_bound
# The flowtable goes before the chain, which drops by its policy: a frame may come in between.
check "the traffic ends" peer halt f
check "traffic can go on by software" peer send f both 10 100
check "nothing is left" over

# --- members of the flowtable ---------------------------------------------------------------------
member() { nft "$1 flowtable inet fw4 ft { hook ingress priority 0; devices = { wan }; ${2-} }"; }
left()
{
	equal "flowtables of wan" "$(sed -n 's/^port .* wan .* flowtables=//p' "$ENGINE/status")" "$1"
}
check "a flow is in hardware" begun
flushed=$(stat_of flushed)
check "a port is removed from the flowtable" member delete
check "its flows left the hardware" [ "$(stat_of flushed)" -ge $((flushed + 2)) ]
check "it is in no flowtable" left 0
check "the audit is clean" audit_clean
check "the port is added again" member add "counter; flags offload;"
check "it is in one flowtable" left 1
check "the flow comes back" back
check "nothing was lost, and nothing is left" ended

# --- another name for a port ------------------------------------------------------------------------
check "a flow is in hardware" begun
check "a port is renamed while it is up" ip link set wan name uplink
check "it leaves the flowtable, which has its old name" equal "port" "$(sed -n 's/^port .* \(uplink .*\)/\1/p' "$ENGINE/status")" \
	"uplink up flowtables=0"
check "the audit is clean" audit_clean
check "it gets its name back" ip link set uplink name wan
check "the flow comes back" back
check "nothing is left" over

# --- connections ------------------------------------------------------------------------------------
# Hardware must not forward connections that conntrack has forgotten.
check "a flow is in hardware" begun
destroyed=$(stat_of destroyed)
check "conntrack forgets all connections" conntrack -F
forgotten() { [ "$(stat_of destroyed)" -ge $((destroyed + 2)) ]; }
check "within seconds hardware has forgotten them" wait_for 5 forgotten
check "the flow is a new connection now, and in hardware" both_bound
check "the audit is clean" audit_clean
check "nothing was lost, and nothing is left" ended

# --- both directions together -------------------------------------------------------------------------
# together: one direction was bound without the other for a second at most
together()
{
	local begun='' now
	for _ in $(seq 100); do
		now=$(now_ms)
		case $(bound ":5204") in
		0)
			echo "alone for $((now - ${begun:-$now})) ms"
			[ $((now - ${begun:-$now})) -le 1000 ]
			return
			;;
		1) begun=${begun:-$now} ;;
		esac
		usleep 50000
	done
	echo "still bound"
	return 1
}
ruleset hardware
check "a TCP connection opens" peer open g tcp lan "$WAN_HOST4" 5204
check "both directions are bound" offloaded g ":5204"
check "it ends" peer close g
check "no direction outlives the other by a second" together

# --- the module --------------------------------------------------------------------------------------
check "a flow is in hardware" begun
check "the module goes" rmmod nft_offload
check "no entry is left" engine_bound_is 0
# The kernel offers a new driver one device of the flowtable, and no access to the flowtable. It
# may have kept one from an earlier test; the module reported that one when it was first loaded.
check "the log is clean so far" log_clean
LOG_START=$(dmesg | wc -l)
check "the module is loaded again, after the flowtable" load
check "the log says what to do" log_has 1 'a flowtable was there first: reload the ruleset'
sleep 2
check "until then the flow is in software" bound_is 0
check "the ruleset is loaded again" ruleset hardware
check "the flow is in hardware" both_bound
check "nothing was lost, and nothing is left" ended
finish
