# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A board that the module does not know. For engine_chip.sh and engine_magic.sh, whose labs have
# such a board.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# unknown_board WORD: the module leaves the board alone, and its message has WORD
unknown_board()
{
	begin 6 none
	check "the module loads" insmod "$MODULE"
	check "and takes no engine" not find_engine
	check "it says why, once" log_has 1 "nft_offload.*$1"
	check "a hardware flowtable is refused" not ruleset hardware
	ruleset software
	peer open f udp lan "$WAN_HOST4" 5201 >/dev/null
	check "traffic passes by software" peer send f both 20 100 gap=2
	peer close f >/dev/null
	check "the module unloads" rmmod nft_offload
	finish
}
