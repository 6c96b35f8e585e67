# SPDX-License-Identifier: GPL-2.0-only
# Tests of flush, pause and policy. Part of tests/run, which sources it.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # for and of tests/run

# What is written is in the file; the errors of the real files are in selftests/user/command.sh,
# but for one that a file of the kernel's gives as well.
wrote() {
	head -n 1 "$R/sys/bus/pci/devices/${3-0000:00:05.0}/nft_offload/$1" | tee /dev/stderr | grep -xF -- "$2"
}
t_flush() {
	says 0 -- flush all && wrote flush all && says 0 -- flush dev lan && wrote flush 'dev lan' &&
		says 0 -- flush flow tcp 192.0.2.2:40000 '[2001:db8::1]:443' && wrote flush 'flow tcp 192.0.2.2:40000 [2001:db8::1]:443'
}
t_pause() {
	says 0 'not paused' -- pause && says 0 'flush all' -- pause on && wrote pause 1 && says 0 'paused, new flows' -- pause &&
		says 0 -- pause off && wrote pause 0
}
t_policy() { says 0 '^refuse_shaped 1' -- policy && says 0 -- policy ipv6 0 && wrote ipv6 0; }
t_writes_to_all_engines() {
	engine 0001:00:05.0
	says 0 -- flush all && wrote flush all && wrote flush all 0001:00:05.0
}
t_write_refused() {
	local controls=$R/sys/bus/pci/devices/0000:00:05.0/nft_offload
	ln -sf /proc/self/oom_score_adj "$controls/ipv4"
	fails 1 'there is no policy colour, or it cannot be blue' policy colour blue && fails 1 'no policy pause,' policy pause 1 &&
		fails 1 'there is no policy ipv4, or it cannot be blue' policy ipv4 blue || return 1
	# One engine that takes it is enough for flush, and is not for policy.
	engine 0001:00:05.0
	ln -sf /proc/self/oom_score_adj "$controls/flush"
	says 0 -- flush dev lan && fails 1 'there is no policy' policy ipv4 blue
}

t_steering_json() {
	engine 0001:00:05.0
	valid 'j == {"version": 1, "engines": [{"name": "0000:00:05.0", "paused": 0}, {"name": "0001:00:05.0", "paused": 0}]}' pause --json &&
		valid 'j["engines"][1] == {"name": "0001:00:05.0", "paused": 1}' pause on --json && wrote pause 1 &&
		valid 'j["engines"][1] == {"name": "0001:00:05.0", "policy": {"refuse_shaped": 1, "ipv4": 1, "ipv6": 1, "reserve": 0}}' policy --json &&
		valid 'j["version"] == 1 and len(j["engines"]) == 2' policy ipv4 1 --json && wrote ipv4 1 &&
		valid 'j == {"version": 1, "flushed": True}' flush all --json && wrote flush all
}
