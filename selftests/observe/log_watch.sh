#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# log: bad
# The watch over the router's log sees what it is there for.
. "$(dirname "$0")/../lib/lib.sh"
begin 1 none
say_bug()
{
	echo 'BUG: a line for the log watch' >/dev/kmsg
}
# It is the only one.
log_clean()
{
	log_has 1 'BUG:'
}
check "a bad line is written" say_bug
finish
