# SPDX-License-Identifier: GPL-2.0-only
# Tests of check. Part of tests/run, which sources it.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # for and of tests/run

t_check_json() {
	valid 'j["version"] == 1 and j["ready"] is True and {r["result"] for r in j["results"]} == {"ok"}' check --json || return 1
	sed -i '/flags offload/d' "$tmp/bin/nft"
	valid 1 'j["ready"] is False and [r["says"] for r in j["results"] if r["result"] == "FAIL"] == [
		"flowtable inet:fw4:ft lacks \"flags offload;\": add it (OpenWrt: flow_offloading_hw 1)"]' check --json
}

t_check_good() {
	says 0 '^ok    debugfs is mounted' '^ok    nft_offload is loaded' '^ok    engine 0000:00:05.0 \(mt7986\) is running' \
		'^ok    port 2 of 0000:00:05.0: wan is up' '^ok    flowtable inet:fw4:ft has the flag' '^ok    flowtable inet:fw4:ft counts' \
		'^ok    .* has the ports of all' '^ok    .* is used by a rule' '^ok    net.netfilter.nf_conntrack_acct is 1' \
		'^ok    shaping' '^ok    no other acceleration' -- check && hides '^(FAIL|warn)' check
}
t_check_nothing_there() {
	rm -r "$R/sys" "$R/proc"
	mkdir "$R/proc"
	says 1 '^FAIL  nft_flow_offload: the kernel' '^FAIL  debugfs is not mounted: mount' '^FAIL  the module nft_offload is not loaded: modprobe' \
		'^FAIL  the module has found no engine' '^warn  net.ipv4.ip_forward is not 1.*sysctl -w' -- check
}
t_check_modules_not_loaded() {
	rmdir "$R/sys/module/nf_flow_table" "$R/sys/module/nft_flow_offload"
	file "lib/modules/$(uname -r)/nft_flow_offload.ko" </dev/null
	file proc/config.gz < <(printf 'CONFIG_NETFILTER=y\nCONFIG_NF_FLOW_TABLE=y\n# CONFIG_NETFILTER_INGRESS is not set\n' | gzip)
	says 1 '^ok    nf_flow_table is built in' '^ok    nft_flow_offload is there' '^FAIL  the kernel was built without CONFIG_NETFILTER_INGRESS' -- check
}
t_check_engine() {
	edit 's/running/quarantined/; s/wan up/wan down/; s/ lan up.*/ no device/; s/flowtables: 1/flowtables: 0/' status
	says 1 '^FAIL  engine .* quarantined: see' '^warn  port 1 .*no device' '^warn  port 2 .* wan has no link' '^FAIL  engine .* bound to no flowtable.*load the ruleset again' -- check
}
t_check_paused() { edit 's/paused: 0/paused: 1/' status; says 0 '^warn  engine .* paused: nft-offload pause off' -- check; }
t_check_flowtable() {
	sed -i 's/, "wan"//; /counter/d; /flow add/d' "$tmp/bin/nft"
	says 1 '^warn  .*without "counter;"' '^warn  .* lacks wan: add' '^FAIL  .*no rule in a forward' -- check &&
		sed -i '/flags offload/d' "$tmp/bin/nft" && says 1 '^FAIL  flowtable inet:fw4:ft lacks "flags offload;"' -- check &&
		stub nft <<<'#!/bin/true' && says 1 '^FAIL  ruleset: it has no flowtable' -- check &&
		stub nft <<<'#!/bin/false' && says 1 '^FAIL  ruleset: it cannot be read' -- check
}
t_check_switch() {
	edit 's/ lan up/ eth0 up/; $ a port 1.4: lan4 up dsa-tag=9' status
	sed -i 's/{ lan,/{ lan4,/' "$tmp/bin/nft"
	says 0 '^ok    port 1.4 .*: lan4 is up' '^ok    .* has the ports of all' -- check && hides eth0 check
}
t_check_shaping() {
	stub tc <<-'EOT'
		#!/bin/sh
		echo 'qdisc cake 8001: dev wan.7 root refcnt 2 bandwidth 50Mbit'
		echo 'qdisc htb 8002: dev ifb4wan root refcnt 2'
		echo 'qdisc tbf 8003: dev dummy0 root refcnt 2'
	EOT
	says 0 '^warn  shaping: wan.7 has cake.*stays in software' '^warn  shaping: ifb4wan has htb' -- check && hides dummy0 check &&
		edit 's/refuse_shaped 1/refuse_shaped 0/' policy && says 0 'wan.7 has cake, which flows in hardware bypass' -- check &&
		stub tc <<<'#!/bin/false' && says 0 '^warn  shaping: cannot tell without tc' -- check
}
t_check_sysctls() { echo 0 >"$R/proc/sys/net/netfilter/nf_conntrack_acct"; says 0 '^warn  .*acct is not 1.*sysctl -w net.netfilter.nf_conntrack_acct=1' -- check; }
t_check_clashes() {
	mkdir -p "$R/sys/module/natflow" "$R/sys/kernel/debug/ppe0"
	says 0 '^warn  other acceleration .*rmmod natflow' "^warn  the kernel's own driver.*ppe0" -- check && hides 'ok .*acceleration' check
}
