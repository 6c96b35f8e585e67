# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The selftests' library. Tests run in the lab's router; `lan`, `wan` and `hosts` run commands on
# the hosts, `lab engine` asks the engine (Documentation/testing.md). The kernel's own helpers
# print KTAP; the lab takes them from the kernel tree.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ ! -e /etc/lab/topology.sh ]; then
	echo "1..0 # SKIP this machine is not the router of a lab (scripts/lab)"
	exit 4
fi
# shellcheck source=/dev/null
. /etc/lab/topology.sh
# As in the kernel's tree, and where kselftest is installed.
helpers=$here/../../kselftest/ktap_helpers.sh
if [ ! -e "$helpers" ]; then
	echo "Bail out! the kernel tree has no tools/testing/selftests/kselftest/ktap_helpers.sh"
	exit 1
fi
# shellcheck source=/dev/null
. "$helpers"

MODULE=/root/nft_offload.ko
DEBUGFS=/sys/kernel/debug/nft_offload
ENGINE=			# debugfs directory of the engine, once the module is loaded
OUT=/tmp/check.out
# The kernel's 30 s would make tests long. A kernel with checks (SLOW) gets more.
FLOWTABLE_TIMEOUT=$((3 * (SLOW > 1 ? 2 : 1)))
AUDITED=0		# 1 if finish makes the point about the audit

# --- results -------------------------------------------------------------------

# check DESCRIPTION COMMAND…: one point; if COMMAND fails, its output is shown
check()
{
	local what=$1
	shift
	if "$@" >"$OUT" 2>&1; then
		ktap_test_pass "$what"
	else
		ktap_test_fail "$what"
		echo "#   failed: $*"
		sed 's/^/#   /' "$OUT" | head -n 40
	fi
}

# check_counts DESCRIPTION COMMAND…: a point about counts of the hardware; skipped if the chip has
# none
check_counts()
{
	if grep -q 'accounting=1' "$ENGINE/status"; then
		check "$@"
	else
		ktap_test_skip "$1: $(chip) has no counters for flows"
	fi
}

note() { ktap_print_msg "$@"; }

# wait_for SECONDS COMMAND…: until COMMAND succeeds, for SECONDS at most, longer on a slow kernel.
# The time that COMMAND itself takes does not count, up to ten times SECONDS.
wait_for()
{
	local tenths=$(($1 * 10 * SLOW)) n=0 end=$((SECONDS + 10 * $1 * SLOW))
	shift
	while ! "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		if [ $n -gt $tenths ] || [ $SECONDS -gt $end ]; then
			echo "waited $((tenths / 10)) s in vain for: $*"
			"$@"
			return 1
		fi
		usleep 100000
	done
}

not() { ! "$@"; }

now_ms() { awk '{ print int($1 * 1000) }' /proc/uptime; }

# equal WHAT GOT WANTED
equal()
{
	echo "$1: got $2, want $3"
	[ "$2" = "$3" ]
}

# --- begin and end -----------------------------------------------------------------

# skip_test WHY: skips the whole test, as one point
skip_test()
{
	ktap_print_header
	ktap_set_plan 1
	ktap_test_skip "$1"
	ktap_finished
}

# begin POINTS [none]: the plan, the hosts, and the module, or with `none` no module. `finish`
# makes one point more, about the log, and with the module another one, about the audit.
begin()
{
	[ "${2-}" = none ] || AUDITED=1
	ktap_print_header
	ktap_set_plan $(($1 + AUDITED + 1))
	trap cleanup EXIT
	trap 'exit 1' INT TERM

	sysctl -qw net.netfilter.nf_conntrack_acct=1 2>/dev/null || {
		modprobe nf_conntrack && sysctl -qw net.netfilter.nf_conntrack_acct=1
	} || ktap_exit_fail_msg "no conntrack accounting"
	modprobe -a nf_flow_table nft_flow_offload || ktap_exit_fail_msg "no flowtables in this kernel"
	flowtable_timeout "$FLOWTABLE_TIMEOUT"
	LOG_START=$(dmesg | wc -l)

	coproc PEER { exec hosts -i python3 "$SELFTESTS_DIR/lib/traffic.py"; }
	# A coprocess's own descriptors do not reach subshells.
	exec 7>&"${PEER[1]}" 8<&"${PEER[0]}"
	peer capture >"$OUT" || ktap_exit_fail_msg "no traffic between the hosts: $PEER_SAYS"
	warm_up
	[ "${2-}" = none ] || load
}

cleanup()
{
	local status=$?
	exec 7>&- 8<&-
	nft flush ruleset 2>/dev/null
	[ -d /sys/module/nft_offload ] && rmmod nft_offload
	conntrack -F >/dev/null 2>&1
	ip link del dummy0 2>/dev/null
	exit $status
}

# needs_oracle: for a test that loads the oracle's module, $ORACLE; the module goes with the test
needs_oracle()
{
	ORACLE=/root/nft_offload_oracle.ko
	[ -e "$ORACLE" ] || ktap_exit_fail_msg "no nft_offload_oracle.ko: build it with 'scripts/module oracle'"
	trap end_with_oracle EXIT
}
end_with_oracle()
{
	local status=$?
	nft flush ruleset 2>/dev/null
	[ ! -d /sys/module/nft_offload_oracle ] || rmmod nft_offload_oracle
	(exit $status)
	cleanup
}

# All sides know their neighbours: so the kernel offers a flow with its first packet, and once.
warm_up()
{
	lan ping -c 1 -w 5 "$WAN_HOST4" >/dev/null 2>&1
	lan ping -c 1 -w 5 "$WAN_HOST6" >/dev/null 2>&1
}

# finish: after every test hardware, module and conntrack agree, and no line of the log is bad
finish()
{
	[ $AUDITED = 0 ] || check "in the end the audit is clean" agreed
	check "the log is clean" log_clean
	ktap_finished
}

flowtable_timeout()
{
	sysctl -qw net.netfilter.nf_flowtable_tcp_timeout="$1" net.netfilter.nf_flowtable_udp_timeout="$1"
}

log_clean()
{
	! dmesg | tail -n +$((LOG_START + 1)) |
		grep -E 'BUG:|WARNING:|Oops|Call Trace|refcount_t|general protection|KASAN|unregister_netdevice: waiting'
}

# log_has COUNT PATTERN: so many lines since the test began
log_has()
{
	local n
	n=$(dmesg | tail -n +$((LOG_START + 1)) | grep -cE "$2")
	equal "log lines with '$2'" "$n" "$1"
}

# --- module and engine -----------------------------------------------------------------

load()
{
	[ -e "$MODULE" ] || ktap_exit_fail_msg "no nft_offload.ko: build it with 'make modules'"
	insmod "$MODULE" "$@" || ktap_exit_fail_msg "insmod failed"
	find_engine || ktap_exit_fail_msg "the module found no engine"
}

# board: the directory of the engine's PCI device in sysfs
board() { dirname "$(grep -l 0x10f7 /sys/bus/pci/devices/*/device | head -n 1)"; }

# bus_master DEVICE 0|1: whether the device may access memory
bus_master()
{
	local command
	command=$(od -An -tu1 -j4 -N1 "$1/config")
	equal "bus master" $((command >> 2 & 1)) "$2"
}

find_engine()
{
	ENGINE=$(find "$DEBUGFS" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | head -n 1)
	[ -n "$ENGINE" ]
}

# flowtables_are COUNT: so many flowtables have a port of the engine
flowtables_are() { equal flowtables "$(sed -n 's/^flowtables: //p' "$ENGINE/status")" "$1"; }

chip() { sed -n 's/^chip: //p' "$ENGINE/status"; }

# value_of KEY FILE: what stands behind KEY; fails if the file has no such key
value_of() { awk -v key="$1" '$1 == key { print $2; found = 1 } END { exit !found }' "$2"; }

# stat_of KEY, reject_of REASON: a count in debugfs
stat_of() { value_of "$1" "$ENGINE/stats"; }

reject_of() { value_of "$1" "$ENGINE/rejects"; }

# bound [PATTERN]: how many entries are bound, as the module says
bound() { grep -cE "BND.*${1-}" "$ENGINE/bind"; }

bound_is()
{
	local n
	n=$(bound "${2-}")
	equal "bound entries ${2-}" "$n" "$1"
}

# engine KEY: a value of the emulated engine, e.g. ports.lan.wire_rx_frames
engine() { lab engine stats | value_of "$1" -; }

# ppe_sum KEY [N]: the sum of a value over all PPEs of engine N
ppe_sum()
{
	lab engine "${2-1}" stats | awk -v key="^ppe[.][0-9a-z]+[.]$1\$" '$1 ~ key { n += $2 } END { print n + 0 }'
}

engine_bound() { ppe_sum bound "$@"; }

engine_bound_is() { equal "entries bound in the engine" "$(engine_bound)" "$1"; }

# none_bound: not a single entry, as the module says and in the engine
none_bound() { bound_is 0 && engine_bound_is 0; }

# nothing_left: no entry, and no flow that waits
nothing_left() { none_bound && equal flows_now "$(stat_of flows_now)" 0; }

# audit_of KEY: a sum of the audit
audit_of() { value_of "$1" "$ENGINE/audit"; }

# audit_clean: hardware, module and conntrack agree within some seconds. A flow may come or end in
# between, and conntrack forgets a flow a second before the kernel ends it.
audit_clean() { wait_for 3 audit_says_clean; }
audit_says_clean()
{
	cat "$ENGINE/audit" >/tmp/audit || return 1
	cat /tmp/audit
	awk '/^(orphans|mismatches|stale|ownerless|index) / { sums++; wrong += $2 }
		/^unread / || / opposite=(unknown|bound)$/ { wrong++ }
		END { exit sums != 5 || wrong }' /tmp/audit
}

# Without the module no entry may be left.
agreed()
{
	if [ -d /sys/module/nft_offload ] && [ -e "$ENGINE/audit" ]; then
		audit_clean
	else
		engine_bound_is 0
	fi
}

# --- ruleset -----------------------------------------------------------------------------

# ruleset none|software|hardware: a ruleset like that of OpenWrt's fw4. The environment of the call
# may have DEVICES, COUNTER= (no counter), MASQ=1, SNAT and DNAT (rules), RULES (more rules of
# forward), EXCEPT (which flows the flowtable gets), TABLE (its name) and IN (a command that leads to
# another namespace).
ruleset()
{
	local flowtable='' offload='' flags='' srcnat='' dstnat='' table="inet ${TABLE-fw4}"
	[ "$1" = hardware ] && flags='flags offload;'
	if [ "$1" != none ]; then
		flowtable="flowtable ft {
			hook ingress priority 0;
			devices = { ${DEVICES-\"lan\", \"wan\"} };
			${COUNTER-counter;}
			$flags
		}"
		offload="meta l4proto { tcp, udp } ${EXCEPT-} flow offload @ft;"
	fi
	[ "${MASQ-}" ] && srcnat='meta nfproto ipv4 oifname "wan*" masquerade'
	[ "${SNAT-}" ] && srcnat=$SNAT
	[ "${DNAT-}" ] && dstnat=$DNAT
	{
		echo "table $table"
		echo "flush table $table"
		# shellcheck disable=SC2086 # words
		if ${IN-} nft list flowtable $table ft >/dev/null 2>&1; then
			echo "delete flowtable $table ft"
		fi
		echo "table $table {
			$flowtable
			chain forward {
				type filter hook forward priority filter; policy drop;
				$offload
				${RULES-}
				ct state vmap { established : accept, related : accept }
				meta iifname \"lan*\" accept
				meta iifname \"wan*\" accept
			}
			chain dstnat {
				type nat hook prerouting priority dstnat; policy accept;
				$dstnat
			}
			chain srcnat {
				type nat hook postrouting priority srcnat; policy accept;
				$srcnat
			}
		}"
	} | ${IN-} nft -f -
}

# probe: what fw4 does before it chooses hardware.
probe()
{
	nft -c '
		add table inet fw4-hw-offload-test;
		add flowtable inet fw4-hw-offload-test ft {
			hook ingress priority 0;
			devices = { "lan", "wan" };
			flags offload;
		}
	'
}

# --- traffic -------------------------------------------------------------------------------

# peer COMMAND…: gives traffic.py a command; PEER_SAYS is the answer
peer()
{
	echo "$*" >&7
	if ! IFS= read -r -t $((${PEER_SECONDS-60} * SLOW)) PEER_SAYS <&8; then
		PEER_SAYS='fail: the hosts do not answer'
	fi
	echo "$* -> $PEER_SAYS"
	[ "${PEER_SAYS%% *}" = ok ]
}

# field KEY: a value of the last answer
field()
{
	local word
	for word in $PEER_SAYS; do
		[ "${word%%=*}" = "$1" ] && echo "${word#*=}"
	done
}

# frames HOST in|out FILTER…: how many such frames
frames() { peer count "$@" >/dev/null && field frames; }

# same_frames FROM "FILTER…" TO "FILTER…": every frame that FROM sent came out at TO once, as a
# router forwards it: the port's and the host's MAC addresses, one hop less, valid checksums, the
# same IP bytes. TCP's last frames may still be on the wire, in either direction.
same_frames() { wait_for 2 same_frames_now "$@"; }

same_frames_now()
{
	local from=$1 out=$2 to=$3 in=$4 sent sent_bytes port_mac host_mac
	port_mac=${to^^}_PORT_MAC host_mac=${to^^}_HOST_MAC
	# shellcheck disable=SC2086 # words
	peer count "$from" out $out || return 1
	sent=$(field frames) sent_bytes=$(field bytes)
	# shellcheck disable=SC2086 # words
	peer count "$to" in $in || return 1
	equal "frames that came out" "$(field frames)" "$sent" || return 1
	# shellcheck disable=SC2086 # words
	peer count "$to" in $in ttl=63 csum=ok "smac=${!port_mac}" "dmac=${!host_mac}" || return 1
	if ! equal "frames that are right" "$(field frames)" "$sent"; then
		# shellcheck disable=SC2086 # words
		peer show "$to" in $in
		return 1
	fi
	equal "their bytes" "$(field bytes)" "$sent_bytes" || return 1
	[ "$sent" -gt 0 ]
}

# tag_filter TAGS: the filter of traffic.py for frames with these tags: - is none, p7 at the end a
# PPPoE session, p alone the session SESSION
tag_filter()
{
	local vlans=${1%p*} session=None
	[ "$vlans" = "$1" ] || session=${1##*p}
	vlans=${vlans%.}
	echo "vlan=${vlans:-None} pppoe=${session:-$SESSION}" | sed 's/=-/=None/'
}

# router_rx: how many frames the router's ports have received, that is, the CPU has seen.
router_rx()
{
	echo $(($(cat /sys/class/net/lan/statistics/rx_packets) + $(cat /sys/class/net/wan/statistics/rx_packets)))
}

# many_flows COUNT DPORT GAP: three packets from each of so many ports of the lan host, GAP
# seconds between two packets
many_flows()
{
	# shellcheck disable=SC2016 # the other shell's
	lan sh -c 'ulimit -n 20000; exec python3 -c "$0" "$@"' '
import socket, sys, time
dst, dport, count, gap = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
for n, s in enumerate(socks):
    s.bind(("", 2048 + n))
# The kernel offers a connection with its second packet.
for _ in 1, 2, 3:
    for s in socks:
        s.sendto(b"x" * 64, (dst, dport))
        time.sleep(gap)' "$WAN_HOST4" "$2" "$1" "$3"
}

# offloaded FLOW PATTERN: sends until both directions are bound
offloaded()
{
	local n
	for n in 1 2 3 4 5 6 7 8 9 10; do
		peer send "$1" both 1 100 || return 1
		wait_for 1 bound_is 2 "$2" >/dev/null && return 0
	done
	echo "not bound after $n tries:"
	cat "$ENGINE/bind"
	awk '$2 != 0' "$ENGINE/rejects" "$ENGINE/stats"
	ip neigh
	conntrack -L 2>/dev/null | head -n 6
	return 1
}

# flow_offloaded FLOW DPORT [alone] [OPEN_ARG…]: a UDP flow from the lan host to the wan host is
# opened and offloaded; alone: no other flow is bound
flow_offloaded()
{
	local flow=$1 dport=$2 pattern=:$2
	shift 2
	case ${1-} in alone) pattern=; shift ;; esac
	peer open "$flow" udp lan "$WAN_HOST4" "$dport" "$@" && offloaded "$flow" "$pattern"
}

# accounted PROTO FILTER: conntrack's counters, both directions, as one line:
# packets bytes packets bytes
accounted()
{
	conntrack -L -p "$1" 2>/dev/null | grep -E "$2" |
		sed -nE 's/.*packets=([0-9]+) bytes=([0-9]+).*packets=([0-9]+) bytes=([0-9]+).*/\1 \2 \3 \4/p' | head -n 1
}

# exact PROTO CT_FILTER FROM "FILTER…" TO "FILTER…": conntrack has counted what the hosts put on the
# wire, to the byte. Each try counts the frames again: TCP may repeat and acknowledge for a while.
exact() { wait_for 8 exact_now "$@"; }

exact_now()
{
	local up down
	# shellcheck disable=SC2086 # words
	peer count "$3" out $4 || return 1
	up="$(field frames) $(field bytes)"
	# shellcheck disable=SC2086 # words
	peer count "$5" out $6 || return 1
	down="$(field frames) $(field bytes)"
	accounted_is "$1" "$2" "$up $down"
}

accounted_is() { equal "packets and bytes, both ways" "$(accounted "$1" "$2")" "$3"; }

# all_arrived: the stream of which the last answer speaks lost nothing
all_arrived() { equal arrived "$(field got)" "$(field sent)"; }

# few_reach_router FLOW COUNT: the router's ports see less than one frame in a hundred of so much
# traffic each way. ICMPv6 and frames that are not IP, such as ARP and LCP, do not count.
few_reach_router()
{
	local before wire seen kind own=0
	peer capture
	before=$(router_rx)
	peer send "$1" both "$2" 200 || return 1
	seen=$(($(router_rx) - before))
	for kind in other icmp6; do
		own=$((own + $(frames lan out proto=$kind) + $(frames wan out proto=$kind)))
	done
	wire=$(($(frames lan out) + $(frames wan out) - own)) seen=$((seen - own))
	echo "$seen of $wire frames reached the router, beside $own that are not of the flow"
	# TCP may join messages into fewer frames; a few must be left to count.
	[ "$wire" -ge 100 ] && [ $((seen * 100)) -lt "$wire" ]
}

# --- one connection, from its opening to its end --------------------------------------------

# How many points forwarded_by_hardware makes.
# shellcheck disable=SC2034 # used by the tests
CASE_POINTS=9

# forwarded_by_hardware PROTO FROM DST DPORT UP_OUT UP_IN DOWN_OUT DOWN_IN [OPEN_ARG…]
#
# A connection from host FROM to DST:DPORT is offloaded, and all its frames are right. The four
# words in the middle are filters of traffic.py without proto, for frames that leave FROM, that
# arrive at the other host, that leave there, and that arrive at FROM.
forwarded_by_hardware()
{
	local proto=$1 from=$2 dst=$3 dport=$4 up_out=$5 up_in=$6 down_out=$7 down_in=$8 to=wan kind
	shift 8
	[ "$from" = wan ] && to=lan
	kind="$proto to $dst:$dport"

	conntrack -F >/dev/null 2>&1
	peer capture >/dev/null
	check "$kind: opens" peer open f "$proto" "$from" "$dst" "$dport" "$@"
	check "$kind: both directions are bound" offloaded f ""
	check "$kind: bound in the engine too" engine_bound_is 2
	check "$kind: conntrack shows HW_OFFLOAD" \
		sh -c "conntrack -L -p $proto 2>/dev/null | grep 'dport=$dport' | grep -q HW_OFFLOAD"
	check "$kind: under 1 % of the frames reach the router" few_reach_router f 400
	# few_reach_router began a new capture: from here on hardware sends the frames.
	check "$kind: the right frames came out at the $to" \
		same_frames "$from" "proto=$proto $up_out" "$to" "proto=$proto $up_in"
	check "$kind: the right frames came out at the $from" \
		same_frames "$to" "proto=$proto $down_out" "$from" "proto=$proto $down_in"
	check "$kind: ends" peer close f
	# A TCP flow ends at once, a UDP flow when it has been idle.
	check "$kind: nothing stays bound" wait_for $((FLOWTABLE_TIMEOUT + 6)) bound_is 0
}
