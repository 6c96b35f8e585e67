# SPDX-License-Identifier: GPL-2.0-only
"""Frames as bytes: what is in them, and how to make one. For traffic.py."""

from __future__ import annotations

import socket
import struct
from typing import Any

TPIDS = (0x8100, 0x88A8)
ETH_P_PPP_SES, PPP_PROTOCOLS = 0x8864, {0x21: 0x0800, 0x57: 0x86DD}
# The digits of the time with which a datagram of a stream begins.
TIME_DIGITS = 12
# The special tag of MediaTek's switches has the place of a VLAN tag, or is a VLAN tag as well.
# Its first two bytes are not an EtherType, but the kind of the VLAN tag, and the port.
SPECIAL_KINDS = (None, 0x8100, 0x88A8)


class Failure(Exception):
    pass


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def special_tag(frame: bytes) -> tuple[str | None, bytes]:
    """The first half of a special tag, in hexadecimal digits, and the frame without the tag.
    If the tag is a VLAN tag as well, the VLAN tag stays in the frame. If not, its second half
    should be 0, and is shown if it is not."""
    kind = frame[12]
    if kind >= len(SPECIAL_KINDS):
        return None, frame
    tpid = SPECIAL_KINDS[kind]
    rest = frame[16:] if tpid is None else struct.pack(">H", tpid) + frame[14:]
    text = frame[12:14].hex()
    if tpid is None and frame[14:16] != b"\0\0":
        text += f"/{frame[14:16].hex()}"
    return text, frame[:12] + rest


def parse(frame: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of a frame that a filter may have, where csum is ok, bad or (nothing to check)
    none; and, of TCP and UDP, every field of every header except checksums. `rest` is everything
    behind the ports; `frame` identifies the frame."""
    special, frame = special_tag(frame)
    f: dict[str, Any] = {"dmac": frame[:6].hex(":"), "smac": frame[6:12].hex(":")}
    h = f | {"special": special or ""}
    f |= {"len": len(frame), "bytes": 0, "csum": "none", "proto": "other", "special": special}
    ethertype, at, tags = struct.unpack(">H", frame[12:14])[0], 14, []
    while ethertype in TPIDS and len(frame) >= at + 4:
        tci, inner = struct.unpack(">HH", frame[at:at + 4])
        f["vlan"] = f"{f['vlan']}.{tci & 0xFFF}" if tags else str(tci & 0xFFF)
        tags.append(f"{ethertype:04x}/{tci & 0xFFF}/{tci >> 13}/{tci >> 12 & 1}")
        ethertype, at = inner, at + 4
    h["tags"] = "+".join(tags)
    if ethertype == ETH_P_PPP_SES and len(frame) >= at + 8:
        kind, code, f["pppoe"], size, protocol = struct.unpack(">BBHHH", frame[at:at + 8])
        h |= {"pppoe": f"{kind:02x}/{code}/{f['pppoe']}/{protocol:04x}", "pppoe-behind": len(frame) - at - 6 - size}
        ethertype, at = PPP_PROTOCOLS.get(protocol, ethertype), at + 8
    f["ethertype"] = f"{ethertype:04x}"
    ip, fragment, good = frame[at:], False, True
    if ethertype == 0x0800 and len(ip) >= 20:
        first, h["tos"], size, told, h["frag"], h["ttl"], proto = struct.unpack(">BBHHHBB", ip[:10])
        head, pseudo = (first & 15) * 4, ip[12:20]
        h |= {"id": told, "options": ip[20:head].hex()}
        fragment, good = bool(h["frag"] & 0x3FFF), checksum(ip[:head]) == 0xFFFF
        f |= {"options": int(head > 20), "tos": h["tos"]}
    elif ethertype == 0x86DD and len(ip) >= 40:
        word, size, proto, h["ttl"] = struct.unpack(">IHBB", ip[:8])
        first, head, size, pseudo, told = word >> 24, 40, size + 40, ip[8:40], word & 0xFFFFF
        h |= {"class": word >> 20 & 0xFF, "label": told}
    else:
        return f, {}
    l4, half = ip[head:size], len(pseudo) // 2
    family = socket.AF_INET if half == 4 else socket.AF_INET6
    h |= {"src": socket.inet_ntop(family, pseudo[:half]), "dst": socket.inet_ntop(family, pseudo[half:]), "proto": proto}
    f |= {key: h[key] for key in ("ttl", "src", "dst")} | {
        "bytes": size, "fragment": int(fragment), "proto": {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp6"}.get(proto, str(proto))}
    if proto == 1 and len(l4) >= 8 and not fragment:
        f["icmp"] = f"{l4[0]}/{l4[1]}"
    if proto in (6, 17) and len(l4) >= 8:
        checksum_at = 16 if proto == 6 else 6
        h["sport"], h["dport"] = struct.unpack(">HH", l4[:4])
        h |= {"version": first >> 4, "size": size, "behind": len(ip) - size,
              "rest": (l4[4:checksum_at] + l4[checksum_at + 2:]).hex()}
        h["frame"] = (proto, told, h["rest"])
    if "rest" in h and not fragment:
        f |= {"sport": h["sport"], "dport": h["dport"]}
        if proto == 6:
            f["flags"] = "".join(c for bit, c in enumerate("FSRPAU") if l4[13] >> bit & 1)
        elif l4[8:8 + TIME_DIGITS].isdigit():
            f["time_ms"] = int(l4[8:8 + TIME_DIGITS])
        # A UDP packet over IPv4 may do without.
        if proto == 6 or l4[6:8] != b"\0\0" or half > 4:
            good = good and checksum(pseudo + struct.pack(">HH", proto, len(l4)) + l4) == 0xFFFF
    f["csum"] = "ok" if good else "bad"
    return f, h if "rest" in h else {}


def packed(tags: str) -> tuple[bytes, bytes, int | None]:
    """The bytes behind the addresses of frames to and from a station, and the PPPoE session."""
    words = [word for word in tags.split(".") if word]
    session = int(words.pop()[1:]) if words and words[-1].startswith("p") else None
    kind, number = (words[0][0], int(words.pop(0)[1:])) if words and words[0][0] in "sd" else ("", 0)
    vlans = b"".join(struct.pack(">HH", 0x88A8 if tag.startswith("ad") else 0x8100, int(tag.removeprefix("ad")))
                     for tag in words)
    if kind == "s":
        # To the switch the tag has a set of ports, and is the VLAN tag as well. From the switch
        # it has a port, and the VLAN tag follows. The kernel's tag_mtk writes and reads these.
        to = bytes([1, 1 << number]) + vlans[2:] if vlans else bytes([0, 1 << number, 0, 0])
        return to, bytes([0, number, 0, 0]) + vlans, session
    if kind == "d":
        # A tag from the CPU, and a tag of a forwarded frame, for switch 0.
        return bytes([0x40, number << 3, 0, 0]) + vlans, bytes([0xC0, number << 3, 0, 0]) + vlans, session
    return vlans, vlans, session


def ipv4_packet(src: str, dst: str, proto: int, payload: bytes, ttl: int = 64, options: bytes = b"",
                fragment: int = 0) -> bytes:
    size = 20 + len(options)
    head = struct.pack(">BBHHHBBH4s4s", 0x40 | size // 4, 0, size + len(payload), 7, fragment, ttl, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst)) + options
    return head[:10] + struct.pack(">H", 0xFFFF ^ checksum(head)) + head[12:] + payload


def odd_packet(kind: str, source: tuple[str, int], sink: tuple[str, int]) -> bytes:
    """An IPv4 UDP packet of that kind."""
    (src, sport), (dst, dport) = source, sink
    payload = kind.encode().ljust(20, b".")
    udp = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0)
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack(">HH", 17, len(udp) + len(payload))
    udp = udp[:6] + struct.pack(">H", 0xFFFF ^ checksum(pseudo + udp + payload)) + payload
    if kind == "badcsum":
        udp = udp[:6] + b"\x12\x34" + udp[8:]
    # Four no-operations: options, and nothing that asks for anything.
    how: dict[str, dict[str, Any]] = {"plain": {}, "badcsum": {}, "ttl1": {"ttl": 1}, "options": {"options": b"\1\1\1\0"},
                                      "fragment": {"fragment": 0x2000}}
    if kind not in how:
        raise Failure(f"no kind of frame {kind}")
    return ipv4_packet(src, dst, 17, udp[:24] if kind == "fragment" else udp, **how[kind])
