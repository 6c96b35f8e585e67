# SPDX-License-Identifier: GPL-2.0-only
# Tests of the words of the command line. Part of tests/run, which sources it.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # for and of tests/run

t_help() { says 0 'status' 'why ADDR' -- --help && says 0 policy -- help && says 0 policy -- why --help; }
t_usage() {
	says 2 usage -- && fails 2 'no command bogus' bogus && fails 2 'no option --bogus' --bogus &&
		fails 2 'needs a value' flows --limit && fails 2 'does not go with it' status --sort bytes &&
		fails 2 'too many' check now && fails 2 'something is missing' why
}
# completed WORD… -- CANDIDATE…: what bash offers for the last word
completed() {
	local -a words=(nft-offload) offered=()
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	mapfile -t offered < <(
		# shellcheck source=tools/nft-offload/completions/nft-offload
		. "$here/completions/nft-offload"
		# shellcheck disable=SC2034 # for the completion
		COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1))
		_nft_offload
		printf '%s\n' "${COMPREPLY[@]}")
	[ "${offered[*]}" = "$*" ] || { echo "${words[*]}: ${offered[*]}"; return 1; }
}
t_completion() {
	stub nft-offload <<-EOT
		#!/bin/sh
		exec ${SHELL_WORDS[*]} $here/nft-offload "\$@"
	EOT
	completed st -- status stats && completed p -- pause policy && completed w -- why && completed flows --s -- --sort --state &&
		completed flows --dev '' -- lan wan && completed flush dev w -- wan && completed flush '' -- all dev flow &&
		completed policy ipv -- ipv4 ipv6 && completed pause o -- on off && completed flows --sort b -- bytes &&
		completed --engine 0 -- 0000:00:05.0 && completed flows --pro -- --proto --prometheus && completed flows --addr '' -- '' &&
		completed --engine x flu -- flush || return 1
	: >"$R/proc/mounts"
	completed flows --dev '' -- ''
}
t_version() {
	says 0 "^nft-offload $(sed -n '1s/.*(\(.*\)).*/\1/p' "$here/../../debian/changelog")$" -- --version && says 0 '^nft-offload [0-9]' -- status -V
}
t_bad_values() {
	local a
	fails 2 'by bytes' flows --sort size && fails 2 'not a number' flows --limit 0 && fails 2 'not a number' top 1x &&
		fails 2 'on or off' pause 1 && fails 2 'KEY VALUE' policy ipv4 && fails 2 'no name' --engine ../x status || return 1
	for a in example.org 192.0.2 192.0.2.1: 192.0.2.1:http '[2001:db8::1' '[2001:db8::1]80' '[2001:db8::1]:' '[2001:db8::1]:x' '2001:db8::1]:80' 1.2.3.4:5:6 '*' 'a;id' ''; do
		nft_offload why "$a" && return 1
		[ $? = 2 ] || nft_offload why "$a" 2>&1 | grep "not an address" || return 1
	done
	fails 2 'not tcp or udp' flush flow icmp 1.2.3.4:1 1.2.3.4:2 && fails 2 'not an address' flush flow tcp 1.2.3.4 1.2.3.4:2 &&
		fails 2 'flush: all' flush some && fails 2 'flush: all' flush dev
}
