#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --memory 768M --program dpkg --program dpkg-deb --program dpkg-query --program dpkg-split --program tar --program ldconfig
# check-all: only
# slow kernels: there are no packages for the kernel with checks
# The router's own dpkg installs and removes the packages of `make deb`: dpkg checks the kernel's
# version, the module loads and offloads, and all files go again.
. "$(dirname "$0")/../lib/lib.sh"
RELEASE=$(uname -r)
MODULES=nft-offload-modules-$RELEASE
UPDATES=/lib/modules/$RELEASE/updates/nft_offload.ko
DPKG=/var/lib/dpkg
module_deb=$(echo /root/debs/"$MODULES"_*.deb)
[ -e "$module_deb" ] || skip_test "no packages for $RELEASE: make deb builds them"
begin 24 none
# These are the lab's, not the package's.
rm -rf /usr/sbin/nft-offload /usr/lib/nft-offload "$MODULE"

# with_kernel VERSION: dpkg knows a kernel of that version and kmod. It also knows the owner of the
# directories, or it would remove them with their last file.
with_kernel()
{
	local tree=/tmp/kernel
	mkdir -p "$DPKG/info" "$DPKG/updates" /var/log "$tree/DEBIAN" "$tree/usr/sbin" "$tree/usr/lib/modules/$RELEASE"
	# dpkg forgets a package that has no file of its own.
	touch "$DPKG/status" "$DPKG/available" "$tree/usr/lib/modules/$RELEASE/lab"
	printf '%s\n' "Package: linux-image-$RELEASE" "Version: $1" 'Provides: kmod' 'Architecture: all' \
		'Maintainer: nobody' 'Description: what the lab has booted' >"$tree/DEBIAN/control"
	dpkg-deb -b "$tree" /tmp/kernel.deb && dpkg -i /tmp/kernel.deb
}

state() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null; }
files_of() { dpkg-deb --fsys-tarfile "$1" | tar -t | sed -n 's/^\.//; /[^/]$/p'; }

refused()
{
	local said
	said=$(dpkg -i "$module_deb" 2>&1) && { echo "dpkg took it: $said"; return 1; }
	echo "$said"
	grep -q "depends on linux-image-.* (= ${KERNEL_VERSION//+/.})" <<<"$said" &&
		not equal state "$(state "$MODULES")" installed
}

there()
{
	local file
	for file in $files; do
		ls "$file" || return 1
	done
}

in_force() { nft list chain inet fw4 forward | grep 'policy drop'; }

# unit_order: systemd is not here, but what the unit says is
unit_order()
{
	local unit=/usr/lib/systemd/system/nft-offload.service
	grep '^After=.*nftables.service' $unit && grep -x 'ConditionPathExists=/etc/nft-offload.nft' $unit &&
		not grep -E '^(Requires|BindsTo|RequiredBy|ExecStop|Before)=' $unit
}

left()
{
	local file found=0
	for file in $files; do
		[ ! -e "$file" ] || { echo "$file is still there"; found=1; }
	done
	return $found
}

known_to_depmod() { grep '^updates/nft_offload\.ko:' "/lib/modules/$RELEASE/modules.dep"; }

files=$(for deb in "$module_deb" /root/debs/nft-offload_*.deb; do files_of "$deb"; done)
with_kernel "$KERNEL_VERSION.1" >"$OUT" 2>&1 || ktap_exit_fail_msg "$(cat "$OUT")"
check "dpkg refuses another version of the kernel's image" refused
check "the right version is installed" with_kernel "$KERNEL_VERSION"
check "the module's file has no debug data" sh -c "
	dpkg-deb --fsys-tarfile $module_deb | tar -xO ./usr$UPDATES | grep -c '\.debug_' | grep -x 0"
check "dpkg installs the packages" dpkg -i "$module_deb" /root/debs/nft-offload_*.deb
check "all files are there" there
check "depmod knows the module" known_to_depmod
check "modprobe loads it" modprobe nft_offload
check "it loads no other file" equal file "$(modinfo -n nft_offload)" "$UPDATES"
check "the module finds the engine" find_engine
check "the ruleset loads" ruleset hardware
check "the unit comes after the firewall, and nothing needs it" unit_order
check "the command is the package's" sh -c "dpkg -S /usr/sbin/nft-offload && nft-offload status"

check "a connection is offloaded" flow_offloaded f 5201 alone
check "under 1 % of its frames reach the router" few_reach_router f 250
check "the right frames came out at the wan" same_frames lan "proto=udp dport=5201" wan "proto=udp dport=5201"

reinstall() { dpkg -i "$module_deb" && bound_is 2; }
check "the package is installed again, and the module goes on" reinstall
check "dpkg removes the packages with a connection in hardware" dpkg -r "$MODULES" nft-offload
check "the firewall is still in force" in_force
check "the module is unloaded" not test -e /sys/module/nft_offload
check "nothing is bound in the engine" engine_bound_is 0
check "no file is left" left
check "depmod has forgotten it" not known_to_depmod
peer close f >/dev/null

in_use()
{
	local said
	dpkg -i "$module_deb" && modprobe nft_offload && find_engine || return 1
	exec 9<"$ENGINE/stats"
	said=$(dpkg -P "$MODULES" 2>&1) || { echo "$said"; return 1; }
	exec 9<&-
	echo "$said"
	grep -q 'stays loaded until the next boot' <<<"$said" && left
}
check "a module in use stays loaded, and the package says so" in_use
check "the firewall is in force after the purge" in_force
finish
