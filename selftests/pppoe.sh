#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# PPPoE at the wan, without and with a VLAN tag, with IPv4 and IPv6: hardware makes
# the same frames as the kernel does.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/encap.sh"
begin $((3 + 7 * LIKE_POINTS + 1))
with_tags - p7 udp4n udp6 tcp4n
with_tags - 20.p4660 udp4n tcp6
with_tags 10 p65534 udp4n udp6
check "the log is clean" log_clean
finish
