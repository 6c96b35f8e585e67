# SPDX-License-Identifier: GPL-2.0-only
#
# OpenWrt's build system as far as the packages of this feed use it, so that they can be
# packed and tested without OpenWrt. For scripts/ipk, which sets
#
#   OUT               where for each package a folder is made: root/, CONTROL/
#   ARCH_PACKAGES     architecture of packages that are not for all
#   SOURCE_DATE_EPOCH
#   BUILD_DIR         where packages are built
#   LINUX_VERSION LINUX_UNAME_VERSION LINUX_VERMAGIC LINUX_RELEASE LINUX_DIR
#                     of the kernel

INCLUDE_DIR := $(TOPDIR)/include
INSTALL_DIR := install -d -m 0755
INSTALL_BIN := install -m 0755
INSTALL_DATA := install -m 0644
CP := cp -fpR
