# SPDX-License-Identifier: GPL-2.0-only
# Tests of what others can choose: words of the LuCI page, names of devices, of sets. Part of tests/run, which sources it.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # for and of tests/run

# Nothing of it is run, or takes another line, or ends a program of awk.
harmless() {
	local out got=0
	out=$(cd "$tmp" && nft_offload "$@" 2>&1 </dev/null) || got=$?
	printf '%s\n' "$out"
	[ "$got" -le 3 ] && [ ! -e "$tmp/trap" ] && ! grep -aE 'awk|syntax|not found' <<<"$out"
}
t_words_are_not_run() {
	local word
	# shellcheck disable=SC2016 # these are for other shells than this one
	for word in '$(touch trap)' '`touch trap`' "1.2.3.4';touch trap;'" '1.2.3.4";touch trap;"' $'1.2.3.4\ntouch trap' \
		'x"}<img src=x onerror=alert(1)>' '../../../trap' '--engine=../x' '\n%s\c' '[$(touch trap)]:80' '1.2.3.4/$(touch trap)' '-1)' 'a[$(touch trap)]'; do
		harmless why "$word" && harmless flows "--addr=$word" && harmless flows "--dev=$word" --json &&
			harmless flows "--state=$word" --json && harmless flows "--limit=$word" && harmless flows "--sort=$word" &&
			harmless flows "--proto=$word" && harmless "--engine=$word" status && harmless flush flow tcp "$word" 1.2.3.4:1 &&
			harmless top "$word" && harmless flush dev "$word" && harmless pause "$word" && harmless policy ipv4 "$word" || { echo "word: $word"; return 1; }
	done
	# What is said of them is one line, and as they were written.
	fails 3 'there is no engine \\n%s\\c; there is' --engine '\n%s\c' status && fails 2 'lan wan. is no device' flows --dev 'lan wan' &&
		nft_offload policy ipv4 'a\nb' && wrote ipv4 'a\nb'
}
t_names_are_not_run() {
	local dev command
	# No file, and so no device, has a slash in its name.
	# shellcheck disable=SC2016 # these are for other shells than this one
	for dev in 'x$(touch${IFS}trap)' 'x`touch${IFS}trap`' "x';touch\${IFS}trap;'" 'x";touch${IFS}trap;"' 'x\n<b>%s\c' 'x"]}<script>'; do
		system
		ln -sf -- "$AWK" "$tmp/bin/awk"
		mkdir -p "$R/sys/class/net/br-lan/lower_$dev"
		file "sys/class/net/$dev/statistics/rx_bytes" <<<1
		printf '%s\n' "port 3: $dev up flowtables=1" >>"$R/sys/kernel/debug/nft_offload/0000:00:05.0/status"
		printf '%s\n' "slot=00099 state=bound dir=original proto=udp orig=192.0.2.9:1->203.0.113.2:1 new=192.0.2.9:1->203.0.113.2:1 in=$dev out=$dev age=1.0 idle=0.0 packets=1 bytes=1 owner=1" >>"$R/sys/kernel/debug/nft_offload/0000:00:05.0/flows"
		printf '%s\n' "flow reason=nat66 times=1 age=1.0 proto=udp orig=$dev->$dev in=$dev out=$dev" >>"$R/sys/kernel/debug/nft_offload/0000:00:05.0/rejects"
		printf '%s\n' "ipv4 2 tcp 6 100 ESTABLISHED src=192.0.2.9;$dev dst=203.0.113.2 sport=1 dport=443 src=203.0.113.2 dst=192.0.2.9;$dev sport=443 dport=1 helper=$dev [ASSURED]" >"$tmp/ct"
		stub conntrack <<<$'#!/bin/sh\ncat '"$tmp/ct"
		printf '%s\n' "qdisc cake 8001: dev $dev root refcnt 2" >"$tmp/qdiscs"
		stub tc <<<$'#!/bin/sh\ncat '"$tmp/qdiscs"
		sleeps
		for command in status stats flows refused check 'why 203.0.113.2' 'top 1 1' 'stats --prometheus'; do
			# shellcheck disable=SC2086
			harmless $command || { echo "device: $dev"; return 1; }
		done
		for command in status stats flows refused check 'why 203.0.113.2' 'top 1 1'; do
			echo '100.00 1' >"$R/proc/uptime"
			# shellcheck disable=SC2086
			harmless $command --json >"$tmp/json" && python3 -m json.tool "$tmp/json" >/dev/null ||
				{ cat "$tmp/json"; echo "device: $dev"; return 1; }
		done
		nft_offload status | grep -F "port 3     $dev, up" || return 1
		DEV=$dev python3 -c 'import json, os, sys; assert json.load(sys.stdin)["engines"][0]["ports"][2]["device"] == os.environ["DEV"]' < <(nft_offload status --json) || return 1
	done
}
