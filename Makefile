# SPDX-License-Identifier: GPL-2.0
#
# The front door. What each door does stands in scripts/; the objects of the
# module are listed in Kbuild, which kbuild reads instead of this file.

# Variables a caller may set; anything else on the command line is a typing
# error that would otherwise pass unnoticed.
KNOWN := KDIR KERNEL CHIP TESTS JOBS V W CLIPPY ARCH CROSS_COMPILE LLVM CC HOSTCC \
	RUSTC BINDGEN INSTALL_MOD_PATH INSTALL_MOD_STRIP NFT_OFFLOAD_CACHE LAB_% DEMO_% \
	AGAIN SEED COUNT TIME MINUTES VERMAGIC VERMAGIC_FILE PKGARCH LINUX_RELEASE
given := $(strip $(foreach v,$(.VARIABLES),$(if $(findstring command,$(origin $v)),$v)))
unknown := $(filter-out $(KNOWN),$(given))
ifneq ($(unknown),)
$(error unknown variable $(firstword $(unknown))=: 'make help' lists those there are)
endif

SHELL := /bin/bash

ifneq ($(CHIP),)
chips := $(shell . scripts/lib.sh && echo $$SUPPORTED_CHIPS)
ifeq ($(filter $(CHIP),$(chips)),)
$(error CHIP=$(CHIP): no such chip; there is: $(chips))
endif
endif

# Values reach the scripts by the environment: no quoting to get wrong. Of
# those that every make has, only the ones given here go on to kbuild.
export KBUILD_GIVEN := $(filter ARCH CROSS_COMPILE LLVM CC HOSTCC RUSTC BINDGEN,$(given))
unexport MAKEFLAGS

# -jN given to this make is handed on; the doors themselves run one by one,
# since each keeps all cores busy.
jobs = $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS)))
.NOTPARALLEL:

.PHONY: all modules vppe demo check check-all check-debug check-host lint selftests oracle fuzz soak bench bench-host lab-shell \
	ipk deb check-dkms install uninstall clean distclean help
all: modules

help:
	@sed -n 's/^## //p' Makefile

## make               builds build/module/nft_offload.ko for Debian's kernel
## make demo          offloads real connections on an emulated router, shows the gain
## make check         what a change has to pass: lints, host tests, tests in the router
## make check-all     everything there is; AGAIN=1 runs only what did not pass the last time
##
## make vppe          builds the emulated engine, build/vppe/release/vppe
## make check-debug   the tests in the router, on a kernel with KASAN, lockdep, kmemleak and
##                    failing allocations; builds it once, for half an hour
## make check-host    lints and tests that need no router
## make lint          formatter, lints and documentation only
## make selftests     tests in the router; TESTS="name …" picks some
## make oracle        random rules to the kernel's own driver and to ours: the same entries?
## make fuzz          looks for bytes that core or model cannot bear, TIME=60 seconds each
## make soak          all that may happen to a router, in random order; MINUTES=10 SEED=
## make bench         instructions per flow, beside the kernel's own driver; report.json
## make bench-host    times the pure core and the engine's model on this machine
## make lab-shell     boots a router between two hosts and gives a shell in it
## make ipk           packages for OpenWrt, in build/ipk/
## make deb           builds Debian packages, build/deb/<release>/*.deb
## make check-dkms    installs them in a Debian that is thrown away, DKMS's too
## make install       puts the built module below /lib/modules, and nft-offload into /usr/sbin (sudo)
## make uninstall     takes it away again
## make clean         removes build/
## make distclean     removes the cached tool root and kernel trees as well
##
## KERNEL=7.2         another kernel: a series, a version or a release; debug: that of check-debug
## ARCH=arm64         for a router of that architecture: amd64 or arm64
## KDIR=/path         builds with this machine's tools against that prepared tree
## CHIP=mt7621        the chip that is emulated: mt7986 (default), mt7981, mt7988,
##                    mt7621, mt7622 or mt7623
## VERMAGIC=HASH      the kernel that ipk is for; PKGARCH= LINUX_RELEASE= as scripts/ipk says
## SEED=1 COUNT=N      the oracle's rules: which, and how many per chip (20000)
## SEED=N TIME=60      fuzz: the same search again, and seconds for each target
## AGAIN=1            check, check-all and the like: only what did not pass on the same files
## SEED=N MINUTES=10   soak: the same operations again, and for how long
## CLIPPY=1           lints the module instead of building it
## W=1 V=1            as in the kernel's own build
## INSTALL_MOD_PATH=  where to install; INSTALL_MOD_STRIP=1 leaves debug data out
## NFT_OFFLOAD_CACHE= where tools and kernels are kept (/var/cache/nft-offload)

modules:
	@JOBS="$(or $(JOBS),$(jobs))" scripts/module $(if $(CLIPPY),clippy,build)

vppe:
	@scripts/vppe

demo: modules vppe
	@scripts/demo

check:
	@scripts/check check

check-all:
	@scripts/check all

check-debug:
	@KERNEL=debug scripts/check selftests

check-host:
	@scripts/check lint host

lint:
	@scripts/check lint

selftests:
	@scripts/check selftests

oracle:
	@JOBS="$(or $(JOBS),$(jobs))" scripts/oracle

fuzz:
	@scripts/fuzz

soak: modules vppe
	@scripts/soak

bench:
	@JOBS="$(or $(JOBS),$(jobs))" scripts/bench

bench-host:
	@scripts/bench-host

lab-shell: modules vppe
	@scripts/lab up && { scripts/lab shell; scripts/lab down; }

ipk:
	@JOBS="$(or $(JOBS),$(jobs))" scripts/ipk

deb:
	@JOBS="$(or $(JOBS),$(jobs))" scripts/deb

check-dkms:
	@scripts/check-dkms

install:
	@scripts/module install

uninstall:
	@scripts/module uninstall

clean:
	@rm -rf build || { echo "some of build/ was made as root: sudo make clean" >&2; exit 1; }

distclean: clean
	@scripts/cache purge
