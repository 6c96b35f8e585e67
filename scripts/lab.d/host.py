# SPDX-License-Identifier: GPL-2.0-only
"""Network namespaces and TAP interfaces of the machine that runs a lab."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000


class LabError(Exception):
    """An error for the user: one line, no traceback."""


def open_tap(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def must(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")


def in_netns(netns: str, *argv: str) -> list[str]:
    # Not `ip netns exec`: that remounts /sys and wants / to be a mount point.
    return ["nsenter", f"--net=/run/netns/{netns}", "--", *argv]


def place_tap(tap: str, netns: str, name: str, mac: str) -> None:
    """Moves a TAP interface to a namespace, and turns its offloads off: its frames are those of a wire."""
    must("ip", "link", "set", tap, "netns", netns, "name", name, "address", mac)
    # The kernel must not join or split frames.
    subprocess.run(in_netns(netns, "ethtool", "-K", name, "tso", "off", "gso", "off", "gro", "off",
                            "tx", "off", "rx", "off"), capture_output=True)
    # The queue is long enough for the moments in which a busy machine does not run the
    # engine. A frame lost there would look like a loss of the router.
    must("ip", "-n", netns, "link", "set", name, "txqueuelen", "50000", "up")


def add_addresses(netns: str, name: str, *addresses: str) -> None:
    for address in addresses:
        must("ip", "-n", netns, "addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
