# SPDX-License-Identifier: GPL-2.0-only
#
# What words of the command line may be. Part of nft-offload, which sources it.
# shellcheck shell=sh disable=SC2153,SC2154 # the command sets them

number() {
	case $2 in '' | *[!0-9]* | 0*) wrong "$1: '$2' is not a number from 1 on" ;; esac
}

# An address, with a port if wanted: `optional` or `port`; with `prefix` also a prefix.
address() {
	bad=1
	case $1,$2 in
	prefix,*/*)
		case ${2##*/} in '' | *[!0-9]* | ????* | 0?*) bits=999 ;; *) bits=${2##*/} ;; esac
		case ${2%/*} in
		*/* | *..* | .* | *. | *.*.*.*.* | *:::* | *[!:]:) ;;
		*[!0-9.]*)
			case ${2%/*} in
			*[!0-9a-fA-F:]*) ;;
			*:*:*) [ "$bits" -gt 128 ] || bad=0 ;;
			esac ;;
		*.*.*.*) [ "$bits" -gt 32 ] || bad=0 ;;
		esac
		[ "$bad" = 0 ] || wrong "'$2' is not an address and no prefix as 192.0.2.0/24 or 2001:db8::/32"
		return ;;
	esac
	case $2 in
	*[!]0-9a-fA-F.:[]*) ;;
	\[*[][]*]:* | \[*]:*[!0-9]* | \[*]:) ;;
	*.*:*:*) ;;
	\[*:*]:* | [!:[]*.*.*.*:*[0-9]) bad=0 ;;
	*[][]* | *: | *.*:*) ;;
	*.*.*.* | *:*:*) [ "$1" = port ] || bad=0 ;;
	esac
	[ "$bad" = 0 ] || wrong "'$2' is not an address $([ "$1" = port ] && echo with || echo 'or an address and') port, as 192.0.2.2:443 or [2001:db8::1]:443"
}

# The names and numbers by which the module calls protocols.
proto() {
	case $1 in
	tcp | udp) ;;
	'' | *[!0-9]* | ????*) wrong "--proto: '$1' is not tcp, udp or the number of a protocol" ;;
	esac
}

# known_dev DEV: has a port of an engine this device?
known_dev() {
	devs=$(NEED=status run devices status) || exit $?
	case $1,"$devs " in
	*' '*,*) wrong "--dev: '$1' is no device; there are:${devs:- none}" ;;
	*,*" $1 "*) ;;
	*) wrong "--dev: no port of an engine has the device $1; there are:${devs:- none}" ;;
	esac
}

# takes OPTIONS MIN MAX: what this command knows
takes() {
	for opt in $given; do
		case " $1 engine " in *" $opt "*) ;; *) wrong "$command: --$opt does not go with it" ;; esac
	done
	[ "$count" -ge "$2" ] || wrong "$command: something is missing"
	[ "$count" -le "$3" ] || wrong "$command: too many words"
}
