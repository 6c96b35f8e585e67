# SPDX-License-Identifier: GPL-2.0-only
"""The provider: a second guest with the router's kernel and programs, for protocols that the
kernel of the machine may not have, such as PPP and VLANs.

    the router's wan wire ── eth0 ── br0 ── isp0 ── access    core ── eth1
                             └─ namespace wan ─┘     └ guest ┘  namespace wan

The wan host stays at the wire, too: br0 has its addresses. Tests capture the wire at eth0,
as in a lab without a provider.
"""

from __future__ import annotations

from host import add_addresses, must, place_tap

PORT = "wan"
MEMORY = "192M"
MAC = {"access": "02:00:00:00:03:01", "core": "02:00:00:00:03:02"}
TAP = {"access": "h-isp", "core": "h-core"}
CORE_ROUTER = ("198.51.100.129/25", "2001:db8:b::1/64")
CORE_HOST = ("198.51.100.130/25", "2001:db8:b::2/64")
CORE_HOST_MAC = "02:00:00:00:02:12"
MGMT_HOST, MGMT_GUEST = "198.18.0.5", "198.18.0.6"


def topology() -> dict[str, str]:
    return {"ISP_MAC": MAC["access"],
            "ISP_CORE4": CORE_ROUTER[0].split("/")[0], "ISP_CORE6": CORE_ROUTER[1].split("/")[0],
            "ISP_HOST4": CORE_HOST[0].split("/")[0], "ISP_HOST6": CORE_HOST[1].split("/")[0]}


def join(mac: str) -> str:
    """Adds a bridge, so that the provider can join the wire; returns the host's interface."""
    must("ip", "-n", PORT, "link", "add", "br0", "address", mac, "type", "bridge", "forward_delay", "0",
         "mcast_snooping", "0")
    must("ip", "-n", PORT, "link", "set", "eth0", "master", "br0")
    must("ip", "-n", PORT, "link", "set", "br0", "up")
    return "br0"


def set_up_host() -> None:
    place_tap(TAP["access"], PORT, "isp0", "02:00:00:00:02:11")
    must("ip", "-n", PORT, "link", "set", "isp0", "master", "br0")
    place_tap(TAP["core"], PORT, "eth1", CORE_HOST_MAC)
    add_addresses(PORT, "eth1", *CORE_HOST)
