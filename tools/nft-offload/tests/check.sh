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
		key refuse_shaped 0 && says 0 'wan.7 has cake, which flows in hardware bypass' -- check &&
		stub tc <<<'#!/bin/false' && says 0 '^warn  shaping: cannot tell without tc' -- check
}
t_check_hooks_at_devices() {
	stub tc <<-'EOT'
		#!/bin/sh
		case $* in
		'qdisc show')
			echo 'qdisc clsact ffff: dev wan parent ffff:fff1'
			echo 'qdisc ingress ffff: dev wan.7 parent ffff:fff1 ----------------'
			echo 'qdisc clsact ffff: dev dummy0 parent ffff:fff1' ;;
		*'dev wan egress' | *'dev dummy0 ingress')
			echo 'filter protocol all pref 49152 matchall chain 0'
			echo 'filter protocol all pref 49152 matchall chain 0 handle 0x1 '
			printf '\taction order 1: mirred (Egress Mirror to device tap) pipe\n' ;;
		*'dev wan.7 ingress')
			echo 'filter protocol ip pref 1 flower chain 0 handle 0x1 '
			echo '  in_hw in_hw_count 1' ;;
		esac
	EOT
	stub ip <<-'EOT'
		#!/bin/sh
		[ "$*" = '-d link show' ] || exit 1
		echo '2: wan: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 xdpgeneric/id:7 qdisc fq_codel state UP mode DEFAULT group default qlen 1000'
		echo '    prog/xdp id 7 name drop tag 57cd311f2e27366b jited'
		echo '3: wan.7@wan: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000'
		echo '    vlan protocol 802.1Q id 7 <REORDER_HDR>'
		echo '      egress-qos-map { 0:3 }'
		echo '4: dummy0: <BROADCAST,NOARP> mtu 1500 xdp/id:9 qdisc noop state DOWN'
	EOT
	says 0 '^warn  tc filters at egress of wan: flows in hardware pass it by; remove' '^warn  XDP program at wan: .*detach' \
		'^warn  wan.7 has an egress-qos-map' -- check && hides 'dummy0|ingress of' check || return 1
	key refuse_tc_filters 1
	key refuse_xdp 1
	says 0 '^warn  tc filters at egress of wan: flows of wan stay in software.*refuse_tc_filters 1' '^warn  XDP .* stay in software' -- check
}
t_check_sysctls() { echo 0 >"$R/proc/sys/net/netfilter/nf_conntrack_acct"; says 0 '^warn  .*acct is not 1.*sysctl -w net.netfilter.nf_conntrack_acct=1' -- check; }
t_check_clashes() {
	mkdir -p "$R/sys/module/natflow" "$R/sys/kernel/debug/ppe0"
	says 0 '^warn  other acceleration .*rmmod natflow' "^warn  the kernel's own driver.*ppe0" -- check && hides 'ok .*acceleration' check
}

# rules HOOK: the chain of a base chain at this hook, from standard input
rules() {
	local body
	body=$(cat)
	stub nft <<-EOT
		#!/bin/sh
		cat <<'EOF'
		table inet fw4 {
			flowtable ft {
				devices = { lan, "wan" }
				counter
				flags offload
			}
			chain forward {
				type filter hook forward priority filter; policy drop;
				meta l4proto { tcp, udp } flow add @ft
				ct state vmap { established : accept, related : accept }
				iifname "lan" jump lan
			}
			chain lan {
				counter packets 3 bytes 180 accept comment "!fw4: after those that are established"
			}
			chain mangle {
				type filter hook $1 priority mangle; policy accept;
				$body
			}
		}
		EOF
	EOT
}
# passed RULE MEANING: one rule of forward at priority mangle, that flows in hardware pass by
passed() {
	rules forward <<<"$1"
	says 0 "^warn  rule of inet:fw4:mangle: \"$(sed 's/[][*.{}|()?+^$]/\\&/g' <<<"${3-$1}")\": flows in hardware pass it by, .*$2.*: ct mark set 0x10" -- check
}
t_check_rules_passed_by() {
	passed 'tcp dport 22 ip dscp set ef' 'keep what their sender wrote' && passed 'ip6 hoplimit set 64' 'keep what' &&
		passed '@nh,8,8 set 0x0' 'keep what' && passed 'meter m size 65535 { ip saddr limit rate over 10/second } drop' 'does not limit' &&
		passed 'limit rate 100 kbytes/second accept' 'does not limit' && passed 'quota over 10 mbytes drop' 'does not count what' &&
		passed 'ct original bytes >= 100000 drop' 'flush all' && passed 'ct avgpkt > 500 drop' 'flush all' &&
		passed 'ip saddr 192.0.2.3 counter packets 7 bytes 9 comment "quota 5"' 'does not count them' 'ip saddr 192.0.2.3 counter comment "quota 5"' &&
		passed 'log prefix "limit rate 5 "' 'does not get' && passed 'queue flags bypass to 200' 'does not get' || return 1
	rules postrouting <<<'ip ttl set 64'
	says 0 '^warn  rule of inet:fw4:mangle: "ip ttl set 64"' -- check
	hides 'rule of inet:fw4:(lan|forward)' check
}
t_check_rules_not_passed_by() {
	local rule
	for rule in 'ct state new limit rate 10/second accept' 'tcp flags syn tcp option maxseg size set rt mtu' 'tcp flags & (fin | syn | rst) == syn counter packets 0 bytes 0' \
		'meta l4proto icmp limit rate 5/second accept' 'oifname "wan" accept comment "limit rate and counter"' 'ct state invalid counter packets 0 bytes 0 drop' \
		'ct mark set 0x10' 'ct count over 20 drop' 'ip saddr @banned drop'; do
		rules forward <<<"$rule"
		says 0 '^ok    rules: none' -- check && hides '^warn' check || { echo "rule: $rule"; return 1; }
	done
	# Chains that no packet of an established connection comes to.
	rules output <<<'counter packets 0 bytes 0'
	hides '^warn' check || return 1
	for rule in 'ct state established,related accept' 'ct state { established, related } counter packets 5 bytes 5 accept' accept 'jump early' 'goto early'; do
		rules forward <<<"$rule"$'\nip ttl set 64\n}\nchain early {\nct state established,related accept\nip ttl set 63'
		hides 'ttl' check || { echo "rule: $rule"; return 1; }
	done
	for rule in 'iifname "wan" accept' 'jump late' return; do
		rules forward <<<$'jump sub\nip ttl set 64\n}\nchain sub {\n'"$rule"$'\n}\nchain late {\nct state new accept'
		says 0 'ttl set 64' -- check || { echo "rule: $rule"; return 1; }
	done
}
t_check_many_rules() {
	rules forward < <(seq 20 | sed 's/.*/tcp dport & counter packets 0 bytes 0/')
	says 0 '"tcp dport 8 counter"' '^warn  rules: 12 more of them are of this kind \(counter\)$' -- check && hides 'dport 9 ' check
}
# A ruleset that jumps in circles, which the kernel does not take.
t_check_rules_in_a_circle() { rules forward <<<$'jump mangle\njump x\n}\nchain x {\njump mangle\nip ttl set 4'; says 0 'ip ttl set 4' -- check; }

ban() {
	sed -i "\$ i table netdev ban {\\nchain from_wan {\\ntype filter hook $1 priority -500; policy accept;\\n${2-ip saddr 203.0.113.9 drop}\\n}\\n}" "$tmp/bin/nft"
}
t_check_ban_at_a_device() {
	ban 'ingress device "wan"'
	says 0 '^warn  chain netdev:ban:from_wan at ingress of wan: flows in hardware pass it by; a ban there does not end them: ban in the rule with flow add as well .* nft-offload flush all$' -- check || return 1
	# The module names the switch.
	key refuse_netdev_chains 0
	says 0 '^warn  chain .* pass it by; nft-offload policy refuse_netdev_chains 1 keeps flows of wan in software, or a ban there' -- check &&
		key refuse_netdev_chains 1 && says 0 '^warn  chain .*: flows of wan stay in software while it is there \(policy refuse_netdev_chains 1\)$' -- check
}
t_check_chains_at_other_devices() {
	ban 'egress devices = { lan, "wan.7", other }'
	says 0 'from_wan at egress of lan:' 'from_wan at egress of wan.7:' -- check && hides 'of other' check || return 1
	system
	ln -sf -- "$AWK" "$tmp/bin/awk"
	ban 'ingress device "wan"' ''
	hides '^warn' check
}
t_check_devices_to_come() {
	sed -i 's/"wan" }/"wan", "wan.10", "pppoe-wan", "wa*", "ppp*" }/' "$tmp/bin/nft"
	says 0 '^warn  flowtable inet:fw4:ft names wan.10 pppoe-wan ppp[*], which no device is called: .*Operation not permitted.*: name only ports' -- check || return 1
	device wan.10 vlan wan
	device pppoe-wan ppp
	device ppp0 ppp
	hides 'which no device' check
}
t_check_vlans_of_a_port() {
	device wan.8 vlan wan
	says 0 '^warn  port 2 of 0000:00:05.0: 1 networks' -- check && return 1
	device wan.7 vlan
	says 0 '^warn  port 2 of 0000:00:05.0: 2 networks share wan \(VLANs: wan.7, wan.8\), and .*; if you do not trust.* iifname and oifname' -- check || return 1
	key refuse_multi_vlan 0
	says 0 'connection gets them forwarded: nft-offload policy refuse_multi_vlan 1 keeps' -- check && key refuse_multi_vlan 1 &&
		says 0 '^ok    port 2 .* share wan .*stay in software \(policy refuse_multi_vlan 1\)$' -- check && hides 'share lan' check
}
t_check_vlans_of_a_bridge() {
	needs_stand_ins
	device wan.7 vlan
	device br-lan bridge
	device br-lan.20 vlan br-lan
	hides 'share' check || return 1
	file addresses <<<'7: br-lan    inet 192.0.2.1/24 brd 192.0.2.255 scope global br-lan'
	says 0 '^warn  port 1 .*: 2 networks share lan \(VLANs: br-lan.20\)' -- check && hides 'share wan' check || return 1
	# One tagged network and nothing else.
	file addresses <<<'3: wan.7    inet 203.0.113.1/24 scope global wan.7'
	hides 'share' check
}
t_check_hints_at_the_package_manager() {
	stub nft <<<'#!/bin/false'
	stub tc <<<'#!/bin/false'
	rmdir "$R/sys/module/nft_flow_offload"
	stub opkg <<<'#!/bin/true'
	says 1 'opkg install nftables, and run' 'without tc: opkg install tc-full' 'is needed: opkg install kmod-nft-offload' -- check || return 1
	stub apk <<<'#!/bin/true'
	says 1 'apk add nftables, and run' 'without tc: apk add tc-full' 'is needed: apk add kmod-nft-offload' -- check && hides opkg check
}
