#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vppe-arg=--board-magic=0x12345678
# A board with a magic that is not the board's is left alone, and said so.
. "$(dirname "$0")/../lib/lib.sh"
begin 7 none

check "the module loads" insmod "$MODULE"
check "and takes no engine" not find_engine
check "it says why, once" log_has 1 'nft_offload.*magic'
check "a hardware flowtable is refused" not ruleset hardware
ruleset software
peer open f udp lan "$WAN_HOST4" 5201 >/dev/null
check "traffic passes by software" peer send f both 20 100 gap=2
peer close f >/dev/null
check "the module unloads" rmmod nft_offload
check "the log is clean" log_clean
finish
