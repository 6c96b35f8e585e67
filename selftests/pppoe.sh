#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# lab: own --isp
# PPPoE at the wan, without and with a VLAN tag, with IPv4 and IPv6: hardware makes
# the same frames as the kernel does.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/encap.sh"
begin $((3 + 8 * LIKE_POINTS + 1))
with_tags - p udp4n udp6 tcp4n tcp6
with_tags - 20.p udp4n tcp6
with_tags 10 p udp4n udp6
check "the log is clean" log_clean
finish
