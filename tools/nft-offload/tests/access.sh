# SPDX-License-Identifier: GPL-2.0-only
# Tests of files that are not there, or that cannot be read. Part of tests/run, which sources it.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # for and of tests/run

t_debugfs_missing() { : >"$R/proc/mounts"; fails 3 'mount -t debugfs' status && fails 3 'mount -t debugfs' why 192.0.2.2; }
t_module_missing() { rmdir "$R/sys/module/nft_offload"; fails 3 'modprobe nft_offload' flush all; }
t_engine_missing() { rm -r "$R/sys/bus" "$R/sys/kernel/debug/nft_offload/"*; fails 3 'found no engine' flows; }
t_engine_of_another_name() { fails 3 'there is no engine x; there is: 0000:00:05.0' --engine x status; }
t_not_root() {
	chmod 755 "$tmp"
	chmod 700 "$R/sys/kernel/debug"
	setpriv --reuid 65534 --regid 65534 --clear-groups "${SHELL_WORDS[@]}" "$here/nft-offload" status 2>&1 | grep 'only root'
}
t_old_module() {
	rm -r "$R/sys/bus"
	fails 3 'has no file flush' flush all && says 0 mt7986 -- status && fails 3 'has no file pause' pause on &&
		fails 3 'has no file pause' pause && fails 3 'has no file policy' policy
}

# Of a test that needs stand-ins for cat, dd or ls, where Debian's BusyBox has its own.
OWN_TOOLS=77
needs_stand_ins() { [ "$KIND" != busybox ] || exit "$OWN_TOOLS"; }
# What debugfs_locked_down() of the kernel does to files that can be written.
locked_down() {
	file sys/kernel/security/lockdown <<<'none [integrity] confidentiality'
	stub cat <<-EOT
		#!/bin/sh
		case \${1-} in */debug/*/pause | */debug/*/policy) echo "cat: \$1: Operation not permitted" >&2; exit 1 ;; esac
		exec $(PATH=$TOOLS command -v cat) "\$@"
	EOT
}
t_locked_down() {
	needs_stand_ins
	locked_down
	says 0 'policy .*refuse_shaped 1' 'port 2 +wan, up' -- status && says 0 '^ok    engine' -- check && says 0 'in hardware, both' -- why 192.0.2.2 &&
		says 0 'not paused' -- pause && says 0 -- pause on && wrote pause 1 && says 0 -- policy reserve 7 && wrote reserve 7 && says 0 -- flush all
}
# A module without files in sysfs.
t_locked_down_with_debugfs_alone() {
	needs_stand_ins
	locked_down
	rm -r "$R/sys/bus"
	file sys/kernel/debug/nft_offload/0000:00:05.0/pause <<<0
	fails 3 'file pause be read: the kernel is locked down.*: turn Secure Boot off' pause || return 1
	rm "$R/sys/kernel/security/lockdown"
	fails 3 'file pause be read: only root may' pause
}
t_controlled_without_debugfs() {
	: >"$R/proc/mounts"
	rm -r "$R/sys/kernel/debug"
	says 0 -- pause on && wrote pause 1 && says 0 '^reserve 0' -- policy && says 0 -- flush all && fails 3 'mount -t debugfs' status
}
# The module goes while a command runs: what it had found is no longer there.
t_engine_gone_meanwhile() {
	needs_stand_ins
	stub ls <<-EOT
		#!/bin/sh
		echo 0000:00:05.0
	EOT
	rm -r "$R/sys/bus" "$R/sys/kernel/debug/nft_offload/0000:00:05.0"
	local command
	for command in status 'status --json' stats flows 'flows --json' refused 'refused --json' audit top pause policy 'pause on' 'flush all' 'why 192.0.2.2'; do
		# shellcheck disable=SC2086
		fails 3 '(is gone|has gone|older)' $command || return 1
	done
	says 1 '^warn  engine 0000:00:05.0 is gone' -- check
}
t_engine_gone_in_mid_read() {
	needs_stand_ins
	stub cat <<-EOT
		#!/bin/sh
		case \${1-} in */nft_offload/*/*) echo "slot=0"; echo "cat: read error: Input/output error" >&2; exit 1 ;; esac
		exec $(PATH=$TOOLS command -v cat) "\$@"
	EOT
	fails 3 'file status be read: Input/output error: see dmesg' status && fails 3 'file flows be read: Input' flows &&
		fails 3 'file flows be read: Input' why 192.0.2.2 && fails 3 'has gone' top && fails 3 'has gone' audit
}
t_rulesets_without_their_sets() {
	sed -i "1 a [ \"\$1\" = -t ] || exit 1" "$tmp/bin/nft"
	says 0 '^ok    flowtable' -- check
}
