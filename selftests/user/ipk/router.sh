#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# For ../ipk.py: on a router that looks like OpenWrt, whose image has the packages.
. "$(dirname "$0")/../../lib/lib.sh"
begin $((CASE_POINTS + 20)) none
PACKAGE=kmod-nft-offload-ppe

loaded_from_flat_file()
{
	local file
	file=/lib/modules/$(uname -r)/nft_offload.ko
	[ -d /sys/module/nft_offload ] && [ -f "$file" ] &&
		cat /etc/modules.d/nft-offload-ppe && equal "what opkg knows" "$(opkg list-installed | grep "^$PACKAGE ")" \
		"$PACKAGE - $(uname -r | sed 's/[+-].*//').$(sed -n 's/^version: //p' "$DEBUGFS"/*/status)-r1"
}
check "the router has loaded the module by /etc/modules.d" loaded_from_flat_file
check "there is no other file of the module" not sh -c 'find /lib/modules/ /root/ -name "nft_offload.ko*" | grep -v "^/lib/modules/[^/]*/nft_offload.ko$"'
check "the module has an engine" find_engine
MASQ=1 ruleset hardware
router=$WAN_ROUTER4
forwarded_by_hardware udp lan "$WAN_HOST4" 5201 "dport=5201" "src=$router dport=5201" \
	"dst=$router sport=5201" "dst=$LAN_HOST4 sport=5201"

# --- removed, under traffic
check "another flow is offloaded" flow_offloaded f 5202
check "opkg remove" opkg remove "$PACKAGE"
check "the module is unloaded" not test -e /sys/module/nft_offload
check "its files are gone" not sh -c 'ls /etc/modules.d/nft-offload-ppe /lib/modules/*/nft_offload.ko /usr/lib/opkg/info/kmod-nft-offload-ppe.* 2>/dev/null | grep .'
check "the flow goes on in software" peer send f both 50 200 gap=2
peer close f >/dev/null

# --- installed, with hardware offload switched on
cat >/etc/firewall.sh <<-SH
	#!/bin/bash
	cd $here && . ./lib.sh && MASQ=1 ruleset hardware
SH
chmod +x /etc/firewall.sh
reloads() { equal "reloads of the firewall" "$(grep -cx reload /tmp/firewall.log 2>/dev/null)" "$1"; }
nft flush ruleset
# The ruleset that fw4 loaded before: no driver took its flowtable, so here it has to be a software
# flowtable.
MASQ=1 ruleset software
rm -f /tmp/firewall.log
check "opkg install" opkg install "/tmp/$PACKAGE"*.ipk
check "the module is loaded" find_engine
check "the firewall was reloaded once" reloads 1
check "a flow is offloaded then" flow_offloaded f 5203
peer close f >/dev/null
check "opkg remove" opkg remove "$PACKAGE"

# --- installed, with hardware offload switched off
sed -i "s/flow_offloading_hw '1'/flow_offloading_hw '0'/" /etc/config/firewall
rm -f /tmp/firewall.log
check "opkg install, without hardware offload" opkg install "/tmp/$PACKAGE"*.ipk
check "the module is loaded" find_engine
check "the firewall was not reloaded" reloads ''
sed -i "s/flow_offloading_hw '0'/flow_offloading_hw '1'/" /etc/config/firewall

# --- a reader keeps the module
exec 5<"$ENGINE/bind"
check "opkg remove, with a reader" sh -c 'opkg remove kmod-nft-offload-ppe 2>&1 | tee /dev/stderr | grep -q "is in use"'
exec 5<&-
check "then rmmod" rmmod nft_offload

# --- another kernel
sed -i 's/~..../~0bad/' /usr/lib/opkg/status
check "another kernel is refused" not opkg install "/tmp/$PACKAGE"*.ipk
check "no file of the refused package is left" not test -e /etc/modules.d/nft-offload-ppe
cp /usr/lib/opkg/status.good /usr/lib/opkg/status
rm -f /etc/firewall.sh
finish
