#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vppe-arg=--board-magic=0x12345678
# The module leaves a board alone with a magic number of another board, and says so.
. "$(dirname "$0")/../lib/unknown_board.sh"
unknown_board magic
