# SPDX-License-Identifier: GPL-2.0-only
"""Ports, hosts and addresses of a lab.

    lan host ── TAP ── vppe ── TAP ── wan host      namespaces lan and wan
                        │
                      QEMU                          the router
                        │
                    mgmt TAP                        the command channel

isp.py puts a second guest before the wan host, for tests that ask for it. A second
engine (--engines 2) is beside the first one, with ports and wires of its own.
"""

from __future__ import annotations

import isp

PORTS = ("lan", "wan")
# Of each engine, for lan and wan; the hosts are the same.
ENGINES = (PORTS, ("lan2", "wan2"))
PORT_MAC = {"lan": "02:00:00:00:01:01", "wan": "02:00:00:00:01:02",
            "lan2": "02:00:00:00:01:03", "wan2": "02:00:00:00:01:04"}
HOST_MAC = {"lan": "02:00:00:00:02:01", "wan": "02:00:00:00:02:02",
            "lan2": "02:00:00:00:02:03", "wan2": "02:00:00:00:02:04"}
MGMT_MAC = "02:00:00:00:01:ff"
# (router, host) per port; the prefixes are those set aside for documentation.
ADDR4 = {"lan": ("192.0.2.1", "192.0.2.2"), "wan": ("203.0.113.1", "203.0.113.2"),
         "lan2": ("198.18.1.1", "198.18.1.2"), "wan2": ("198.18.2.1", "198.18.2.2")}
ADDR6 = {"lan": ("2001:db8:1::1", "2001:db8:1::2"), "wan": ("2001:db8:2::1", "2001:db8:2::2"),
         "lan2": ("2001:db8:3::1", "2001:db8:3::2"), "wan2": ("2001:db8:4::1", "2001:db8:4::2")}
MGMT_HOST, MGMT_GUEST = "198.18.0.1", "198.18.0.2"
GUEST_PORT, HOST_PORT = 7000, 7001


def topology() -> dict[str, str]:
    """The addresses, as variables of the tests."""
    names = {}
    for port in PORT_MAC:
        up = port.upper()
        names |= {f"{up}_ROUTER4": ADDR4[port][0], f"{up}_HOST4": ADDR4[port][1],
                  f"{up}_ROUTER6": ADDR6[port][0], f"{up}_HOST6": ADDR6[port][1],
                  f"{up}_PORT_MAC": PORT_MAC[port], f"{up}_HOST_MAC": HOST_MAC[port]}
    return names | isp.topology()
