# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC1090
#
# Stands for OpenWrt's /lib/functions.sh: what the scripts of every package call, as far
# as a module's package needs it, in OpenWrt's order.

# info SCRIPT: the directory of what opkg knows of packages, and the package
info() {
	INFO=$IPKG_INSTROOT/usr/lib/opkg/info
	PACKAGE=${1##*/}
	PACKAGE=${PACKAGE%.*}
}

default_postinst() {
	info "$1"
	if [ -z "$IPKG_INSTROOT" ] && grep -q '^/etc/modules\.d/' "$INFO/$PACKAGE.list"; then
		kmodloader
	fi
	[ ! -f "$INFO/$PACKAGE.postinst-pkg" ] || ( . "$INFO/$PACKAGE.postinst-pkg" )
}

default_prerm() {
	info "$1"
	[ ! -f "$INFO/$PACKAGE.prerm-pkg" ] || ( . "$INFO/$PACKAGE.prerm-pkg" )
}
