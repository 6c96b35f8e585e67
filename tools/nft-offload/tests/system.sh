# SPDX-License-Identifier: GPL-2.0-only
# The made-up system. Part of tests/run, which sources it.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # for and of tests/run

stub() {
	cat >"$tmp/bin/$1"
	chmod +x "$tmp/bin/$1"
}

file() {
	mkdir -p -- "$R/$(dirname -- "$1")"
	cat >"$R/$1"
}

# engine NAME
engine() {
	local d=sys/kernel/debug/nft_offload/$1
	file "$d/status" <<-'EOT'
		version: 0.4.0
		chip: mt7986
		bus: pci
		ppes: 2
		entries: 32768
		ways: 4
		capabilities: ipv4=1 ipv6=1 nat44=1 nat66=0 bridge=1 hairpin=1 vlan-tags=2 pppoe=1 dsa=1 accounting=1
		engine: running
		paused: 0
		flowtables: 1
		bridge rules: 0
		bound: 5
		port 1: 02:00:00:00:01:01 lan up flowtables=1
		port 2: 02:00:00:00:02:01 wan up flowtables=1
	EOT
	file "$d/stats" <<-'EOT'
		offered 34
		rejected 12
		bound_now 5
		parked_now 1
		packets 5000000000
		bytes 6400000000000
		quarantined 0
	EOT
	file "$d/flows" <<-'EOT'
		slot=02dd0 state=bound dir=original proto=tcp orig=192.0.2.2:40000->203.0.113.2:443 new=203.0.113.1:40000->203.0.113.2:443 in=lan out=wan age=62.100 idle=0.500 packets=1000 bytes=1500000 owner=1
		slot=06dd1 state=bound dir=reply proto=tcp orig=203.0.113.2:443->203.0.113.1:40000 new=203.0.113.2:443->192.0.2.2:40000 in=wan out=lan age=62.100 idle=0.400 packets=5000000000 bytes=6400000000000 owner=1
		slot=00010 state=bound dir=original proto=udp orig=[2001:db8:1::2]:40001->[2001:db8:2::2]:53 new=[2001:db8:1::2]:40001->[2001:db8:2::2]:53 in=lan out=wan age=5.000 idle=1.000 packets=3 bytes=300 owner=1 vlan-in=10,20 pppoe=7
		slot=- state=parked dir=original proto=tcp orig=192.0.2.3:40002->203.0.113.2:80 new=192.0.2.3:40002->203.0.113.2:80 in=lan out=wan age=3700.000 idle=90.000 packets=10 bytes=1000 owner=1
		slot=12345 state=aged dir=reply proto=tcp orig=203.0.113.2:80->192.0.2.3:40002 new=203.0.113.2:80->192.0.2.3:40002 in=wan out=lan age=3700.000 idle=90.000 packets=11 bytes=1100 owner=1
	EOT
	file "$d/bind" <<-'EOT'
		02dd0 BND IPv4 5T orig=192.0.2.2:40000->203.0.113.2:443 new=203.0.113.1:40000->203.0.113.2:443 eth=02:00:00:00:01:01->02:00:00:00:02:02 packets=1000 bytes=1500000
		06dd1 BND IPv4 5T orig=203.0.113.2:443->203.0.113.1:40000 new=203.0.113.2:443->192.0.2.2:40000 eth=02:00:00:00:02:01->02:00:00:00:01:02 packets=5000000000 bytes=6400000000000
		00010 BND IPv6 5T orig=[2001:db8:1::2]:40001->[2001:db8:2::2]:53 eth=02:00:00:00:01:01->02:00:00:00:02:02 packets=3 bytes=300
	EOT
	# "first" and "second" are other reasons of another module: no sentence is the program's.
	file "$d/rejects" <<-'EOT'
		nat66 10 3.250 First sentence with  two blanks; do this.
		paused 2 100.000 Second sentence.
		vlan 0 - Never given.
		flow reason=paused times=1 age=500.000 proto=udp orig=192.0.2.4:40003->203.0.113.2:53 in=lan out=wan
		flow reason=nat66 times=3 age=2.000 proto=udp orig=192.0.2.4:40003->203.0.113.2:53 in=lan out=wan
		flow reason=vlan times=9 age=2.000 proto=47 orig=- in=- out=?
		flow reason=nat66 times=2 age=9.000 proto=udp orig=[2001:db8:2::2]:53->[2001:db8:1::2]:40001 in=wan out=lan
	EOT
	file "$d/audit" <<-'EOT'
		half_bound slot=00010 proto=udp orig=[2001:db8:1::2]:40001->[2001:db8:2::2]:53 age=5.000 opposite=refused:nat66
		flows 5
		bound 3
		orphans 0
		mismatches 0
		stale 0
		ownerless 0
		index 0
		half_bound 1
		let_go 0
		took 0.007
		faults 0
		runs 1
		last_run -
		last_faults -
	EOT
	controls "$1" <<<$'refuse_shaped 1\nipv4 1\nipv6 1\nreserve 0\nengine running\npause 0\nflush'
}

# controls ENGINE: files that control it, with what they say, from standard input
controls() {
	local name value
	while read -r name value; do
		file "sys/bus/pci/devices/$1/nft_offload/$name" <<<"$value"
	done
}

# key NAME VALUE: of the engine's policy
key() {
	controls 0000:00:05.0 <<<"$1 $2"
}

# edit SED-SCRIPT FILE: of the engine
edit() {
	sed -i "$1" "$R/sys/kernel/debug/nft_offload/0000:00:05.0/$2"
}

# connection LINE: the one there is in conntrack
connection() {
	stub conntrack <<-EOT
		#!/bin/sh
		case \$* in *ipv4*) echo '$1' ;; esac
	EOT
}
tcp() {
	connection "ipv4     2 tcp      6 $1 src=192.0.2.9 dst=203.0.113.2 sport=40009 dport=443 packets=9 bytes=900 src=203.0.113.2 dst=203.0.113.1 sport=443 dport=40009 packets=8 bytes=800 $2 mark=0 use=1"
}

ruleset() {
	stub nft <<-EOT
		#!/bin/sh
		cat <<'EOF'
		$(cat)
		EOF
	EOT
}

system() {
	rm -rf -- "${R:?}" "${tmp:?}/bin"
	mkdir -p -- "$R" "$tmp/bin"
	file proc/mounts <<<'debugfs /sys/kernel/debug debugfs rw 0 0'
	file proc/uptime <<<'100.00 50.00'
	file proc/sys/net/netfilter/nf_conntrack_acct <<<1
	file proc/sys/net/ipv4/ip_forward <<<1
	file proc/sys/net/ipv6/conf/all/forwarding <<<1
	mkdir -p "$R/sys/module/nft_offload" "$R/sys/module/nf_flow_table" "$R/sys/module/nft_flow_offload" \
		"$R/sys/class/net/br-lan/lower_lan" "$R/sys/class/net/br-lan/lower_lan2" "$R/sys/class/net/wan.7/lower_wan" \
		"$R/sys/class/net/lan" "$R/sys/class/net/wan"
	engine 0000:00:05.0
	ruleset <<-'EOT'
		table inet fw4 {
			flowtable ft {
				hook ingress priority filter
				devices = { lan, "wan" }
				counter
				flags offload
			}

			chain forward {
				type filter hook forward priority filter; policy drop;
				meta l4proto { tcp, udp } flow add @ft
				ct state vmap { established : accept, related : accept }
			}
		}
	EOT
	stub ip <<-'EOT'
		#!/bin/sh
		case "$*" in *'addr show'*) cat "$NFT_OFFLOAD_ROOT/addresses" 2>/dev/null; exit ;; esac
		while [ $# -gt 1 ]; do shift; done
		case $1 in
		192.0.2.1 | 203.0.113.1) echo "local $1 dev lo src $1 uid 0" ;;
		192.0.2.*) echo "$1 dev br-lan src 192.0.2.1 uid 0" ;;
		198.51.100.*) echo "$1 via 192.0.2.7 dev wg0 src 192.0.2.1" ;;
		203.0.113.*) echo "$1 dev wan.7 src 203.0.113.1 uid 0" ;;
		2001:db8:1:*) echo "$1 from :: dev lan proto kernel" ;;
		2001:db8:2:*) echo "$1 from :: dev wan proto kernel" ;;
		*) exit 2 ;;
		esac
	EOT
	stub tc <<-'EOT'
		#!/bin/sh
		echo 'qdisc noqueue 0: dev lo root refcnt 2'
		echo 'qdisc fq_codel 0: dev lan root refcnt 2 limit 10240p'
	EOT
	stub conntrack <<-'EOT'
		#!/bin/sh
		case $* in
		*ipv4*) cat <<'EOF' ;;
		ipv4     2 tcp      6 src=192.0.2.2 dst=203.0.113.2 sport=40000 dport=443 packets=1000 bytes=1500000 src=203.0.113.2 dst=203.0.113.1 sport=443 dport=40000 packets=2 bytes=300 [HW_OFFLOAD] mark=0 use=3
		ipv4     2 tcp      6 src=192.0.2.3 dst=203.0.113.2 sport=40002 dport=80 packets=1 bytes=1 src=203.0.113.2 dst=192.0.2.3 sport=80 dport=40002 packets=1 bytes=1 [OFFLOAD] mark=0 use=3
		ipv4     2 udp      17 src=192.0.2.4 dst=203.0.113.2 sport=40003 dport=53 packets=1 bytes=1 src=203.0.113.2 dst=192.0.2.4 sport=53 dport=40003 packets=1 bytes=1 [OFFLOAD] mark=0 use=3
		EOF
		*) cat <<'EOF' ;;
		ipv6     10 udp      17 src=2001:db8:1::2 dst=2001:db8:2::2 sport=40001 dport=53 packets=1 bytes=1 src=2001:db8:2::2 dst=2001:db8:1::2 sport=53 dport=40001 packets=1 bytes=1 [HW_OFFLOAD] mark=0 use=3
		EOF
		esac
	EOT
}

# device NAME KIND LOWER…
device() {
	local lower
	mkdir -p "$R/sys/class/net/$1"
	[ -z "$2" ] || file "sys/class/net/$1/uevent" <<<"DEVTYPE=$2"
	for lower in "${@:3}"; do mkdir -p "$R/sys/class/net/$1/lower_$lower"; done
}
