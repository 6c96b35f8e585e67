#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Floods a router from the lan host (selftests/stress/floods.sh); runs beside both hosts.

  flows SECONDS RATE SRC DST          RATE UDP flows a second, each from another port: one
                                      datagram, and an answer from the wan
  scan SECONDS RATE SRC DST…          RATE SYNs a second, to the ports of all DST in turn
  bucket COUNT RATE SRC DST TARGET BUCKET…   COUNT UDP flows of two datagrams, RATE datagrams a
                                      second, that the engine looks for in the bucket TARGET

The first BUCKET is the bucket of the flow with both ports 0. The others are the buckets of
the flows with one bit of the ports set, from source port 1 to destination port 32768. The
hash of ports is affine, so the buckets of all other flows follow from these.

No host has the addresses, so no host answers that it has no such port; the test tells the
router where the addresses are. The program prints how many frames it sent, and in how many
milliseconds.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import struct
import sys
import time
from typing import Iterable, Iterator

from frames import checksum, ipv4_packet
from traffic import PACKET_OUTGOING, Netns

ETH_P_IP = 0x0800
# The payload of the flood's datagrams.
MARK = b"flood" * 4
DPORT = 9000


def packet_socket(host: str) -> socket.socket:
    sock = Netns(host).socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind(("eth0", ETH_P_IP))
    return sock


def frame(src: str, dst: str, proto: int, payload: bytes) -> bytes:
    macs = bytes.fromhex((os.environ["LAN_PORT_MAC"] + os.environ["LAN_HOST_MAC"]).replace(":", ""))
    return macs + struct.pack(">H", ETH_P_IP) + ipv4_packet(src, dst, proto, payload)


def datagrams(src: str, dst: str, ports: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    # Without a checksum: then they differ in their ports only.
    whole = frame(src, dst, socket.IPPROTO_UDP, struct.pack(">HHHH", 0, 0, 8 + len(MARK), 0) + MARK)
    head, tail = whole[:34], whole[38:]
    return (head + struct.pack(">HH", *pair) + tail for pair in ports)


def syns(src: str, dsts: list[str]) -> Iterator[bytes]:
    for n in itertools.count():
        dst = dsts[n % len(dsts)]
        pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack(">HH", socket.IPPROTO_TCP, 20)
        tcp = struct.pack(">HHIIHHHH", 40000 + n // 65535, 1 + n // len(dsts) % 65535, n, 0, 0x5002, 1024, 0, 0)
        tcp = tcp[:16] + struct.pack(">H", 0xFFFF ^ checksum(pseudo + tcp)) + tcp[18:]
        yield frame(src, dst, socket.IPPROTO_TCP, tcp)


def ports_of_bucket(target: int, zero: int, ones: list[int]) -> Iterator[tuple[int, int]]:
    """Source and destination ports of the flows of a bucket."""
    # Gauss: how each set of bits changes the bucket, and the sets that do not change it.
    changes: dict[int, tuple[int, int]] = {}
    same = []

    def reduce(change: int, bits: int) -> tuple[int, int]:
        while change and change.bit_length() in changes:
            other, others = changes[change.bit_length()]
            change, bits = change ^ other, bits ^ others
        return change, bits

    for n, one in enumerate(ones):
        change, bits = reduce(one ^ zero, 1 << n)
        if change:
            changes[change.bit_length()] = change, bits
        else:
            same.append(bits)
    rest, at = reduce(target ^ zero, 0)
    if rest:
        raise SystemExit(f"flood: no flow between these addresses is in bucket {target}")
    for n in range(1, 1 << len(same)):
        # Gray's code: one set more or less each time.
        at ^= same[(n & -n).bit_length() - 1]
        if at & 0xFFFF and at >> 16:
            yield at & 0xFFFF, at >> 16


def twice(frames: Iterable[bytes], chunk: int) -> Iterator[bytes]:
    """The kernel offers a connection with its second packet."""
    rest = iter(frames)
    while some := list(itertools.islice(rest, chunk)):
        yield from some
        yield from some


def answer() -> None:
    """Sends the flood's datagrams back."""
    sock = packet_socket("wan")
    while True:
        data, address = sock.recvfrom(2048)
        if address[2] != PACKET_OUTGOING and data[42:].startswith(MARK):
            sock.send(data[6:12] + data[:6] + data[12:26] + data[30:34] + data[26:30] + data[36:38] + data[34:36] +
                      data[38:])


def send(frames: Iterable[bytes], rate: float, seconds: float) -> None:
    sock, sent = packet_socket("lan"), 0
    begun = time.monotonic()
    for data in frames:
        late = time.monotonic() - begun - sent / rate
        if late < 0:
            time.sleep(-late)
        if time.monotonic() - begun > seconds:
            break
        sock.send(data)
        sent += 1
    print(f"sent {sent}\nms {int((time.monotonic() - begun) * 1000)}")


def main() -> None:
    kind, amount, rate, src, *rest = sys.argv[1:]
    if kind == "flows":
        answerer = os.fork()
        if not answerer:
            answer()
        ports = ((sport, dport) for dport in itertools.count(DPORT) for sport in range(1024, 65536))
        send(datagrams(src, rest[0], ports), float(rate), float(amount))
        time.sleep(0.5)
        os.kill(answerer, signal.SIGTERM)
    elif kind == "scan":
        send(syns(src, rest), float(rate), float(amount))
    elif kind == "bucket":
        target, zero, *ones = map(int, rest[1:])
        ports = itertools.islice(ports_of_bucket(target, zero, ones), int(amount))
        send(twice(datagrams(src, rest[0], ports), 200), float(rate), float("inf"))
    else:
        raise SystemExit(f"flood: no kind {kind}")


if __name__ == "__main__":
    main()
