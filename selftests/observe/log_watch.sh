#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# log: bad
# The runner finds a bad line in the router's log.
. "$(dirname "$0")/../lib/lib.sh"
begin 1 none
say_bug() { echo 'BUG: a line for the log watch' >/dev/kmsg; }
# There is no other bad line.
log_clean() { log_has 1 'BUG:'; }
check "a bad line is written" say_bug
finish
