# SPDX-License-Identifier: GPL-2.0-only
#
# The way to the engines and their files. Part of nft-offload, which sources it.
# shellcheck shell=sh disable=SC2153,SC2154 # the command sets them

# What a file of an engine that cannot be read means, and what to do: "@unread ENGINE
# FILE: sentence".
unread() {
	if [ ! -d "$FOLDER/$1" ]; then
		set -- "$1" "$2" 'is gone, with its device or the module: nft-offload status shows what is left'
	elif [ ! -e "$FOLDER/$1/$2" ]; then
		set -- "$1" "$2" "has no file $2: the module is older than this program"
	else
		set -- "$1" "$2" "does not let its file $2 be read: $(closed "$3")"
	fi
	echo "@unread $1 $2: engine $1 $3"
}

# closed ERROR: why a file of debugfs cannot be opened, by the words of cat or dd
closed() {
	case $1,$(cat "$ROOT/sys/kernel/security/lockdown" 2>/dev/null) in
	*'not permitted'*'[integrity]'* | *'not permitted'*'[confidentiality]'*)
		echo 'the kernel is locked down, which closes it to everybody: turn Secure Boot off, or start the kernel without lockdown=' ;;
	*'not permitted'* | *'ermission denied'*) echo 'only root may do that: run this as root' ;;
	*) echo "${1##*: }: see dmesg | grep nft_offload, and try again" ;;
	esac
}

# Sets CONTROL to the folder of the files that control an engine. A locked-down kernel leaves
# them open, and they need no debugfs.
find_control() {
	set +f
	set -- "$ROOT"/sys/bus/*/devices/"$1"/nft_offload
	set -f
	CONTROL=$1
}

# A file of an engine, from where it can be read.
show() {
	find_control "$1"
	case $2 in
	pause | policy) [ ! -d "$CONTROL" ] || set -- "$@" control ;;
	esac
	case ${3-},$2 in
	control,policy)
		set +f
		for key in "$CONTROL"/*; do
			case ${key##*/} in engine | flush | pause) ;; *) printf '%s ' "${key##*/}"; cat "$key" || return ;; esac
		done ;;
	control,*) cat "$CONTROL/$2" ;;
	*) cat "$FOLDER/$1/$2" ;;
	esac
}

# files FILE…: these files of all engines, each after a line "@file ENGINE FILE", and
# standard input for "-". A file that is not there is left out, unless it is $NEED.
files() {
	for file; do
		if [ "$file" = - ]; then
			echo '@file - -'
			cat
			continue
		fi
		for engine in $ENGINES; do
			find_control "$engine"
			[ -e "$FOLDER/$engine/$file" ] || [ -d "$CONTROL" ] || [ "$file" = "$NEED" ] ||
				[ ! -d "$FOLDER/$engine" ] || continue
			echo "@file $engine $file"
			error=$(show "$engine" "$file" 2>&1 >&3) || unread "$engine" "$file" "$error"
		done
	done
} 3>&1

# programs NAMES: the program of awk, with what all share
programs() {
	names=$1
	shift
	for name in common $names; do set -- "$@" -f "$LIBRARY/$name.awk"; done
	awk "$@"
}

# run PROGRAM FILE…: NEED is the file without which it cannot answer, the first one if
# nothing else is said
run() {
	program=$1
	shift
	NEED=${NEED-$1}
	export NEED
	files "$@" | ADDR=${ADDR-} RELOAD=$RELOAD MANY=$MANY programs "$program"
	status=$?
	[ $status -lt 2 ] || [ $status = 3 ] || cannot 'awk did not understand what the module says: are both of the same version? nft-offload --version, modinfo nft_offload'
	return $status
}

# net DEVICE and its counters: packets and bytes received, packets and bytes sent. They
# are of what the CPU handled, unless the driver of the device adds the hardware's.
net_counters() {
	set +f
	for folder in "$ROOT"/sys/class/net/*/statistics; do
		dev=${folder%/statistics}
		set -- net "${dev##*/}"
		for name in rx_packets rx_bytes tx_packets tx_bytes; do
			set -- "$@" "$(cat "$folder/$name" 2>/dev/null)"
		done
		[ -z "$6" ] || printf '%s %s %s %s %s %s\n' "$@"
	done
	set -f
}

# What is wrong with it, in a sentence, or nothing.
problem() {
	case $1 in
	debugfs)
		if [ -d "${FOLDER%/*}" ] && [ ! -x "${FOLDER%/*}" ]; then
			echo 'only root may look into debugfs: run this as root'
		elif ! grep -q '^[^ ]* /sys/kernel/debug debugfs' "$ROOT/proc/mounts" 2>/dev/null; then
			echo 'debugfs is not mounted: mount -t debugfs debugfs /sys/kernel/debug'
		fi ;;
	module)
		[ -d "$ROOT/sys/module/nft_offload" ] ||
			echo "the module nft_offload is not loaded: modprobe nft_offload, then $RELOAD" ;;
	engine)
		names=$(engines)
		if [ -z "$names" ]; then
			echo 'the module has found no engine: dmesg | grep nft_offload says more'
		elif [ -n "${o_engine-}" ] && ! echo "$names" | grep -qxF -- "$o_engine"; then
			printf 'there is no engine %s; there is: %s\n' "$o_engine" "$(echo "$names" | tr '\n' ' ')"
		fi ;;
	esac
}

# The names of all engines, by what controls them or, with an older module, by their folders.
engines() {
	set +f
	set -- "$ROOT"/sys/bus/*/devices/*/nft_offload
	set -f
	if [ ! -d "$1" ]; then
		ls "$FOLDER" 2>/dev/null
		return
	fi
	for control; do
		control=${control%/*}
		echo "${control##*/}"
	done
}

find_engines() {
	ENGINES=${o_engine:-$(engines)}
	# shellcheck disable=SC2086
	set -- $ENGINES
	MANY=$(($# > 1))
}

# need_engines: engines that can be read, or with `controls` that can be controlled
need_engines() {
	for part in $([ $# -gt 0 ] && [ -n "$(engines)" ] || echo debugfs) module engine; do
		text=$(problem "$part")
		[ -z "$text" ] || cannot "$text"
	done
	find_engines
}

# put FILE any|all TEXT WRONG: to all engines; with `any` one that takes it is enough.
# dd, as no other tool of BusyBox and of dash says which error there was.
put() {
	need_engines controls
	taken=0 error=''
	for engine in $ENGINES; do
		find_control "$engine"
		file=$CONTROL/$1
		if [ ! -e "$file" ]; then
			case $1,$(ls "$CONTROL" 2>/dev/null) in
			flush,* | pause,* | *,) cannot "$(unread "$engine" "$1" | sed 's/^@unread [^ ]* [^ ]*: //')" ;;
			esac
			die "$4"
		fi
		if said=$(printf '%s\n' "$3" | dd of="$file" conv=notrunc 2>&1); then taken=1; else error=$said; fi
	done
	[ -n "$error" ] && { [ "$2" = all ] || [ $taken = 0 ]; } || return 0
	case $error in
	*'No such device'*) die "no port of an engine has this device: nft-offload status shows the ports" ;;
	*'No such file'*) die "no such flow is in hardware: nft-offload flows shows those that are" ;;
	*'Invalid argument'*) die "$4" ;;
	*) cannot "engine $engine does not let its file $1 be written: $(closed "$(echo "$error" | head -n 1)")" ;;
	esac
}
