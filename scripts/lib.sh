# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# What the scripts share: paths, messages, locks. Source it; it changes nothing by itself.

# Kernel series the module's rust/ supports, newest first. The only list.
SUPPORTED_SERIES="7.3 7.2"
# The router's architectures, by Debian's names. The only list.
SUPPORTED_ARCHES="amd64 arm64"
# Chips the module and the emulated engine support, the one that is tested most
# first. The only list.
SUPPORTED_CHIPS="mt7986 mt7981 mt7988 mt7621 mt7622 mt7623"
# One chip for each layout of entries, for tests that would take too long on every chip.
CHIP_OF_EACH_LAYOUT="mt7986 mt7988 mt7621"

REPO=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${NFT_OFFLOAD_CHOSEN_CACHE:-${NFT_OFFLOAD_CACHE:-/var/cache/nft-offload}}
PROG=${0##*/}
# Where depmod and its kin are, also for users whose PATH leaves it out.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s: %s\n' "$PROG" "$*" >&2; }
die() { say "$*"; exit 1; }
# For a wrong argument or value, not for work that failed.
refuse() { say "$*"; exit 2; }

inside_root() { [ -e /etc/nft-offload-root ]; }

# The cache has the same path inside and outside of the tool root. Kbuild accepts no
# blanks and no colons in a path.
check_cache_path() {
	case $CACHE in
	/*) ;;
	*) refuse "NFT_OFFLOAD_CACHE=$CACHE: give an absolute path" ;;
	esac
	case $CACHE in
	*[[:space:]:\"\'\\\$\#]*) refuse "NFT_OFFLOAD_CACHE=$CACHE: kernel builds cannot work below a path with blanks or any of : \" ' \\ \$ #; choose another" ;;
	esac
}

need_root() {
	[ "$(id -u)" = 0 ] ||
		die "this needs root (a Debian root is made and entered): run it with sudo"
}

# need_cmd COMMAND PACKAGE
need_cmd() {
	command -v "$1" >/dev/null 2>&1 ||
		die "$1 is missing: install it with 'apt-get install $2'"
}

# need_space DIR GIGABYTES WHAT
need_space() {
	local free
	free=$(df --output=avail -k -- "$1" | tail -n 1 | tr -d ' ')
	[ "$free" -ge $(($2 * 1024 * 1024)) ] ||
		die "$3 needs $2 GB free below $1, there are $((free / 1024 / 1024)) GB: free some, or name another place with NFT_OFFLOAD_CACHE="
}

# lock NAME: waits for the lock, and holds it until this process ends. Children that outlive this
# process hold it too, because they still write.
lock() {
	mkdir -p -- "$CACHE/lock"
	exec 9>"$CACHE/lock/$1"
	if ! flock -n 9; then
		say "another run is making $1: waiting for it"
		flock 9
	fi
}

# remove_tree DIR…: never crosses into a mounted file system.
remove_tree() { rm -rf --one-file-system -- "$@"; }

# arch_of NAME: sets ARCH (Debian's name), KARCH (the kernel's) and TRIPLET (of the
# tools). Fails for an architecture that there is no line for.
arch_of() {
	case $1 in
	amd64 | x86_64 | x86) ARCH=amd64 KARCH=x86_64 TRIPLET=x86_64-linux-gnu ;;
	arm64 | aarch64) ARCH=arm64 KARCH=arm64 TRIPLET=aarch64-linux-gnu ;;
	*) return 1 ;;
	esac
}

hash_of() { sha256sum | cut -c 1-12; }

elapsed() { printf '%d:%02d min' $((SECONDS / 60)) $((SECONDS % 60)); }
