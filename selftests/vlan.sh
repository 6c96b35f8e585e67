#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# One and two 802.1Q tags, put on, taken off and changed for others, with IPv4 and
# IPv6: hardware makes the same frames as the kernel does.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/encap.sh"
begin $((7 + 14 * LIKE_POINTS + 1))
with_tags 10 - udp4 udp6 tcp4
with_tags - 20 udp4n udp6 tcp4n
with_tags 10 20 udp4n udp6
with_tags 10.11 - udp4 udp6
with_tags - 20.21 tcp4n
with_tags 10.11 20.21 udp4n udp6
with_tags 10.11 20 tcp6
check "the log is clean" log_clean
finish
