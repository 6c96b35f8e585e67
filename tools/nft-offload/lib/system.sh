# SPDX-License-Identifier: GPL-2.0-only
#
# What is known of the system besides the engines. Part of nft-offload, which sources it.
# shellcheck shell=sh disable=SC2153,SC2154 # the command sets them

facts() {
	# -t: without the elements of sets, which may be a hundred thousand addresses.
	if rules=$(nft -t list ruleset 2>/dev/null); then
		printf '%s\n' "$rules" | awk -f "$LIBRARY/rules.awk"
	else
		echo no-ruleset
	fi
	devices
	ip -o addr show scope global 2>/dev/null | awk '{ print "address", $2 }'
}

# have DEVICE, kind DEVICE KIND, lower DEVICE DEVICE
devices() {
	sessions=$(awk 'NR > 1 { print $3 }' "$ROOT/proc/net/pppoe" 2>/dev/null)
	set +f
	for path in "$ROOT"/sys/class/net/*; do
		[ -d "$path" ] || continue
		dev=${path##*/}
		printf 'have %s\n' "$dev"
		for link in "$path"/lower_*; do
			[ ! -e "$link" ] || printf 'lower %s %s\n' "$dev" "${link##*/lower_}"
		done
		while read -r line; do
			case $line in DEVTYPE=*) printf 'kind %s %s\n' "$dev" "${line#*=}" ;; esac
		done 2>/dev/null <"$path/uevent"
		# ARPHRD_PPP; which session is its own, only the PPP daemon knows.
		read -r line 2>/dev/null <"$path/type" || line=''
		[ "$line" != 512 ] || for lower in $sessions; do printf 'lower %s %s\n' "$dev" "$lower"; done
	done
	set -f
}

# The tables of conntrack, as the tool and the file both have them.
connections() {
	if command -v conntrack >/dev/null; then
		for family in ipv4 ipv6; do conntrack -L -o extended -f $family 2>/dev/null; done
	else
		cat "$ROOT/proc/net/nf_conntrack"
	fi | sed 's/^/ct /'
}

say() {
	printf 'say %s %s\n' "$1" "$2"
}

module() {
	if [ -d "$ROOT/sys/module/$1" ]; then
		say ok "$1 is loaded"
	elif echo "$config" | grep -q "^CONFIG_$2=y" || grep -qs "/$1[.]ko" "$ROOT/lib/modules/$release/modules.builtin"; then
		say ok "$1 is built in"
	elif [ -n "$(find "$ROOT/lib/modules/$release" -name "$1.ko*" 2>/dev/null | head -n 1)" ]; then
		say ok "$1 is there, and is loaded with the ruleset"
	else
		say FAIL "$1: the kernel has no such module: CONFIG_$2 is needed$(case $INSTALL in apk* | opkg*) echo ": $INSTALL kmod-nft-offload" ;; esac)"
	fi
}

# sysctl KIND NAME REMEDY-TEXT: is it 1?
switched() {
	if [ "$(cat "$ROOT/proc/sys/$(echo "$2" | tr . /)" 2>/dev/null)" = 1 ]; then
		say ok "$2 is 1"
	else
		say "$1" "$2 is not 1: $3: sysctl -w $2=1"
	fi
}

system_facts() {
	release=$(uname -r)
	config=$(zcat "$ROOT/proc/config.gz" 2>/dev/null || cat "$ROOT/boot/config-$release" 2>/dev/null)
	module nf_flow_table NF_FLOW_TABLE
	module nft_flow_offload NFT_FLOW_OFFLOAD
	case $config in *CONFIG_NETFILTER=*) echo "$config" | grep -q '^CONFIG_NETFILTER_INGRESS=y' ||
		say FAIL 'the kernel was built without CONFIG_NETFILTER_INGRESS, which flowtables need' ;;
	esac
	for part in debugfs module engine; do
		text=$(problem "$part")
		case $part in debugfs) good='debugfs is mounted' ;; module) good='nft_offload is loaded' ;; *) good='' ;; esac
		if [ -n "$text" ]; then say FAIL "$text"; elif [ -n "$good" ]; then say ok "$good"; fi
	done
	switched warn net.netfilter.nf_conntrack_acct 'conntrack counts nothing'
	switched warn net.ipv4.ip_forward 'IPv4 is not routed'
	switched warn net.ipv6.conf.all.forwarding 'IPv6 is not routed'
	clash=''
	for name in shortcut_fe shortcut_fe_ipv6 shortcut_fe_cm fast_classifier sfe natflow mtkhnat hw_nat ecm; do
		[ ! -d "$ROOT/sys/module/$name" ] || clash="$clash $name"
	done
	[ -z "$clash" ] || say warn "other acceleration is loaded, and takes packets past flowtables: rmmod$clash"
	ppe=$(find "${FOLDER%/*}" -maxdepth 1 -name 'ppe*' 2>/dev/null | sed 's|.*/||' | tr '\n' ' ')
	[ -z "$ppe" ] || say warn "the kernel's own driver has an engine, too (debugfs: ${ppe% }): flows of its ports are with it"
	[ -n "$clash$ppe" ] || say ok 'no other acceleration is there'
}
