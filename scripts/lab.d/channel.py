# SPDX-License-Identifier: GPL-2.0-only
"""The command channel: frames of one letter, a length and data (agent.c says which). They
carry requests both ways: from outside into the router, and from a script in the router to
the hosts, the engine and QEMU."""

from __future__ import annotations

import socket
import struct
from typing import Sequence


def send_frame(sock: socket.socket, kind: bytes, data: bytes = b"") -> None:
    sock.sendall(kind + struct.pack(">I", len(data)) + data)


def recv_exact(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise ConnectionError
        data += chunk
    return data


def recv_frame(sock: socket.socket) -> tuple[bytes, bytes]:
    head = recv_exact(sock, 5)
    (size,) = struct.unpack(">I", head[1:])
    return head[:1], recv_exact(sock, size)


def request(target: str, argv: Sequence[str], term: str = "") -> bytes:
    return b"".join(w.encode() + b"\0" for w in (target, term, *argv))
