#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --vppe-arg=--board-chip=0x4242
# The module leaves a board alone with a chip that it does not know, and says so.
. "$(dirname "$0")/../lib/unknown_board.sh"
unknown_board chip
