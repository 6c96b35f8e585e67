#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Both hosts of a selftest: opens flows between them, moves data, and captures every frame
on both wires.

It is one process with sockets in both network namespaces. So a test can say "send this,
and tell me whether it arrived", and no two programs have to find each other. It reads one
command a line, and answers with one line: `ok` and key=value words, or `fail` and why.

  open FLOW udp|tcp FROM DST DPORT [to=HOST] [at=ADDR] [port=P] [sport=S]
       from host FROM to DST:DPORT; the other host (or HOST) listens at ADDR:P,
       which differs from DST:DPORT where the router translates
  send FLOW up|down|both COUNT SIZE [gap=MS]   and wait until all has arrived
  burst FLOW up|down COUNT SIZE [df]           datagrams, without waiting for them, of any size
       that the interface takes; df: nobody may fragment them
  stream FLOW up|down|both PPS SIZE | halt FLOW  sends in the background. Each datagram has the
       time at which it was sent: time_ms
  time                                         the time now: time_ms
  echo FLOW SECONDS                            small datagrams there and back, one after the
       other, until halt: how many came back in these seconds, how many did not, and how
       long a round trip took (µs)
  close FLOW | reset FLOW                      FIN from both sides, or RST
  raw HOST KIND FLOW                           one odd frame of an open flow
  vlan HOST TAGS ADDR/LEN…                     a VLAN interface on that host, e.g. 10,
       10.20 (10 is the outer tag) or ad30 (802.1ad); its name is eth0.TAGS. .p7, or p7
       alone, is PPPoE session 7, for frames that carry IP. s4 or s4.10 (d4) is behind port
       4 of a switch with tags of MediaTek (of Marvell): the wire is the one between switch
       and router
  station HOST NAME MAC [TAGS] ADDR/LEN…       a further host NAME at the wire of HOST
  unplug NAME                                  removes either of these
  capture [off]                                starts to capture both wires (again), or ends that
  count HOST in|out [KEY=VALUE…]               frames since then, and their IP bytes. KEY!=VALUE
       is any other value, KEY>=VALUE a number that is not smaller
  show HOST in|out [KEY=VALUE…]                the first of these frames, as parsed
  changes FROM TO [KEY=VALUE…] to [KEY=VALUE…] how the router changed the frames from FROM to
       TO: each header field that changed, the same for all frames; no frame is lost or
       doubled, or has a wrong checksum
"""

from __future__ import annotations

import fcntl
import os
import select
import shlex
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Any, Callable

SLOW = int(os.environ.get("SLOW", "1"))
TIMEOUT = 5.0 * SLOW
# How long (s) to wait for a moment without frames, before frames are counted, and before a new
# capture begins. Some tests begin a capture a certain time after an event.
LAST_FRAMES, LAST_FRAMES_BEFORE = 1.0 * SLOW, 0.2
TIME_DIGITS = 12
ECHO_GAP = 0.005
# A round trip that takes longer is lost. Every measurement takes longer than this.
ECHO_PATIENCE = 0.4
ETH_P_ALL, ETH_P_NOBODYS = 3, 0x88B5
PACKET_OUTGOING = 4
# Python's module socket does not have these.
SO_RCVBUFFORCE, SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 33, 263, 8, 0x10
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_PROBE, PMTUDISC_INTERFACE = 10, 23, 3, 4
TPIDS = (0x8100, 0x88A8)
ETH_P_PPP_SES, PPP_PROTOCOLS = 0x8864, {0x21: 0x0800, 0x57: 0x86DD}
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
# The special tag of MediaTek's switches has the place of a VLAN tag, or is a VLAN tag as well.
# Its first two bytes are not an EtherType, but the kind of the VLAN tag, and the port.
SPECIAL_KINDS = (None, 0x8100, 0x88A8)


class Failure(Exception):
    pass


class Netns:
    """A socket belongs to the namespace in which its thread is when it creates it."""

    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    lock = threading.Lock()

    def __init__(self, name: str) -> None:
        try:
            self.fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
        except OSError:
            raise Failure(f"no host {name}") from None

    def socket(self, *args: Any) -> socket.socket:
        with self.lock:
            os.setns(self.fd, os.CLONE_NEWNET)
            try:
                return socket.socket(*args)
            finally:
                os.setns(self.home, os.CLONE_NEWNET)


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def mac_text(raw: bytes) -> str:
    return raw.hex(":")


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


def parse(frame: bytes) -> dict[str, Any]:
    """The values of a frame that a filter may have. csum is ok, bad or (nothing to check) none."""
    special, frame = special_tag(frame)
    f: dict[str, Any] = {"dmac": mac_text(frame[:6]), "smac": mac_text(frame[6:12]), "len": len(frame), "bytes": 0,
                         "csum": "none", "proto": "other", "special": special}
    ethertype, at = struct.unpack(">H", frame[12:14])[0], 14
    while ethertype in TPIDS and len(frame) >= at + 4:
        vid = str(struct.unpack(">H", frame[at:at + 2])[0] & 0xFFF)
        f["vlan"] = f"{f['vlan']}.{vid}" if "vlan" in f else vid
        ethertype, at = struct.unpack(">H", frame[at + 2:at + 4])[0], at + 4
    if ethertype == ETH_P_PPP_SES and len(frame) >= at + 8:
        f["pppoe"], protocol = struct.unpack(">HxxH", frame[at + 2:at + 8])
        ethertype, at = PPP_PROTOCOLS.get(protocol, ethertype), at + 8
    f["ethertype"] = f"{ethertype:04x}"
    ip = frame[at:]
    fragment = False
    if ethertype == 0x0800 and len(ip) >= 20:
        size = (ip[0] & 15) * 4
        f["bytes"] = struct.unpack(">H", ip[2:4])[0]
        f["ttl"], proto = ip[8], ip[9]
        f["src"], f["dst"] = socket.inet_ntop(socket.AF_INET, ip[12:16]), socket.inet_ntop(socket.AF_INET, ip[16:20])
        f["options"] = int(size > 20)
        f["tos"] = ip[1]
        fragment = bool(struct.unpack(">H", ip[6:8])[0] & 0x3FFF)
        good = checksum(ip[:size]) == 0xFFFF
        pseudo = ip[12:20]
        ip = ip[:f["bytes"]]
        l4 = ip[size:]
    elif ethertype == 0x86DD and len(ip) >= 40:
        f["bytes"] = struct.unpack(">H", ip[4:6])[0] + 40
        f["ttl"], proto = ip[7], ip[6]
        f["src"], f["dst"] = socket.inet_ntop(socket.AF_INET6, ip[8:24]), socket.inet_ntop(socket.AF_INET6, ip[24:40])
        good = True
        pseudo = ip[8:40]
        ip = ip[:f["bytes"]]
        l4 = ip[40:]
    else:
        return f
    f["fragment"] = int(fragment)
    f["proto"] = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp6"}.get(proto, str(proto))
    if proto in (6, 17) and len(l4) >= 8 and not fragment:
        f["sport"], f["dport"] = struct.unpack(">HH", l4[:4])
        if proto == 6:
            f["flags"] = "".join(c for bit, c in enumerate("FSRPAU") if l4[13] >> bit & 1)
        if not (proto == 17 and l4[6:8] == b"\0\0" and ethertype == 0x0800):
            good = good and checksum(pseudo + struct.pack(">HH", proto, len(l4)) + l4) == 0xFFFF
        if proto == 17 and l4[8:8 + TIME_DIGITS].isdigit():
            f["time_ms"] = int(l4[8:8 + TIME_DIGITS])
    if proto == 1 and len(l4) >= 8 and not fragment:
        f["icmp"] = f"{l4[0]}/{l4[1]}"
    f["csum"] = "ok" if good else "bad"
    return f


def headers(frame: bytes) -> dict[str, Any]:
    """Every field of every header except checksums, in the order of the wire. `rest` is everything
    behind the ports; `frame` identifies the frame."""
    special, frame = special_tag(frame)
    f: dict[str, Any] = {"dmac": mac_text(frame[:6]), "smac": mac_text(frame[6:12]), "special": special or ""}
    ethertype, at, tags = struct.unpack(">H", frame[12:14])[0], 14, []
    while ethertype in TPIDS:
        tci, inner = struct.unpack(">HH", frame[at:at + 4])
        tags.append(f"{ethertype:04x}/{tci & 0xFFF}/{tci >> 13}/{tci >> 12 & 1}")
        ethertype, at = inner, at + 4
    f["tags"] = "+".join(tags)
    if ethertype == ETH_P_PPP_SES:
        kind, code, session, size, protocol = struct.unpack(">BBHHH", frame[at:at + 8])
        f |= {"pppoe": f"{kind:02x}/{code}/{session}/{protocol:04x}", "pppoe-behind": len(frame) - at - 6 - size}
        ethertype, at = PPP_PROTOCOLS.get(protocol, ethertype), at + 8
    ip = frame[at:]
    if ethertype == 0x0800:
        first, f["tos"], size, f["id"], f["frag"], f["ttl"], f["proto"] = struct.unpack(">BBHHHBB", ip[:10])
        head = (first & 15) * 4
        f |= {"src": socket.inet_ntop(socket.AF_INET, ip[12:16]), "dst": socket.inet_ntop(socket.AF_INET, ip[16:20]),
              "options": ip[20:head].hex()}
        told = f["id"]
    elif ethertype == 0x86DD:
        word, size, f["proto"], f["ttl"] = struct.unpack(">IHBB", ip[:8])
        first, head, size = word >> 24, 40, size + 40
        f |= {"class": word >> 20 & 0xFF, "label": word & 0xFFFFF,
              "src": socket.inet_ntop(socket.AF_INET6, ip[8:24]), "dst": socket.inet_ntop(socket.AF_INET6, ip[24:40])}
        told = f["label"]
    else:
        raise Failure(f"a frame of type {ethertype:04x}")
    l4, checksum_at = ip[head:size], {6: 16, 17: 6}.get(f["proto"])
    if checksum_at is None:
        raise Failure(f"a frame of protocol {f['proto']}")
    f["version"], f["size"], f["behind"] = first >> 4, size, len(ip) - size
    f["sport"], f["dport"] = struct.unpack(">HH", l4[:4])
    f["rest"] = (l4[4:checksum_at] + l4[checksum_at + 2:]).hex()
    f["frame"] = (f["proto"], told, f["rest"])
    return f


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def packet_socket(netns: Netns) -> socket.socket:
    sock = netns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    sock.bind(("eth0", ETH_P_ALL))
    return sock


def receive(sock: socket.socket) -> tuple[bool, bytes]:
    """One frame as it was on the wire, and whether the host sent it."""
    data, extra, _, addr = sock.recvmsg(65536, 64)
    for level, kind, body in extra:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", body[:20])
            # The kernel has removed the tag from the frame.
            if status & TP_STATUS_VLAN_VALID:
                data = data[:12] + struct.pack(">HH", tpid or 0x8100, tci) + data[12:]
    return addr[2] == PACKET_OUTGOING, data


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


class Station:
    """A further interface at a host's wire. It is made in user space, since the hosts' kernel
    need not have VLANs. It takes the frames that have its tags and its address."""

    def __init__(self, wire: Netns, home: Netns, name: str, mac: str, tags: str, addresses: tuple[str, ...]) -> None:
        self.tags_in, self.tags_out, self.session = packed(tags)
        overhead = len(self.tags_out) + (0 if self.session is None else 8)
        with Netns.lock:
            os.setns(home.fd, os.CLONE_NEWNET)
            try:
                # As on the hosts: no interface asks for routers.
                with open("/proc/sys/net/ipv6/conf/default/accept_ra", "w") as file:
                    file.write("0")
                self.tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
                fcntl.ioctl(self.tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
                ip("link", "set", name, "address", mac, "mtu", str(1500 - overhead), "up")
                for address in addresses:
                    ip("addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
            finally:
                os.setns(Netns.home, os.CLONE_NEWNET)
        self.mac, self.wire = bytes.fromhex(mac.replace(":", "")), packet_socket(wire)
        self.ended, self.end = os.pipe()
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self) -> None:
        while True:
            for source in select.select([self.tap, self.wire, self.ended], [], [])[0]:
                if source is self.wire:
                    outgoing, frame = receive(self.wire)
                    inner = None if outgoing else self.unwrap(frame)
                    if inner:
                        os.write(self.tap, inner)
                elif source == self.tap:
                    outer = self.wrap(os.read(self.tap, 65536))
                    if outer:
                        self.wire.send(outer)
                else:
                    return

    def unwrap(self, frame: bytes) -> bytes | None:
        at = 12 + len(self.tags_in)
        if frame[12:at] != self.tags_in or not (frame[:6] == self.mac or frame[0] & 1):
            return None
        ethertype = struct.unpack(">H", frame[at:at + 2])[0]
        if self.session is None:
            return None if ethertype in TPIDS else frame[:12] + frame[at:]
        if ethertype != ETH_P_PPP_SES:
            return None
        head, session, size, protocol = struct.unpack(">HHHH", frame[at + 2:at + 10])
        if (head, session) != (0x1100, self.session) or protocol not in PPP_PROTOCOLS:
            return None
        return frame[:12] + struct.pack(">H", PPP_PROTOCOLS[protocol]) + frame[at + 10:at + 8 + size]

    def wrap(self, frame: bytes) -> bytes | None:
        if self.session is None:
            return frame[:12] + self.tags_out + frame[12:]
        ethertype = struct.unpack(">H", frame[12:14])[0]
        for protocol, carried in PPP_PROTOCOLS.items():
            if carried == ethertype:
                return frame[:12] + self.tags_out + struct.pack(
                    ">HHHHH", ETH_P_PPP_SES, 0x1100, self.session, len(frame) - 12, protocol) + frame[14:]
        return None

    def unplug(self) -> None:
        os.write(self.end, b".")
        self.thread.join(TIMEOUT)
        self.wire.close()
        for fd in (self.tap, self.ended, self.end):
            os.close(fd)


def ip(*args: str) -> str:
    return subprocess.run(["ip", *args], check=True, stdout=subprocess.PIPE, text=True).stdout


class Capture:
    """All frames at a host's NIC, both ways."""

    def __init__(self, host: str, netns: Netns) -> None:
        self.host = host
        self.sock = packet_socket(netns)
        # Whether it left, the frame, and what it is, once somebody asked.
        self.frames: list[tuple[bool, bytes, dict[str, Any]]] = []
        self.lock = threading.Lock()
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self) -> None:
        while True:
            outgoing, frame = receive(self.sock)
            with self.lock:
                self.frames.append((outgoing, frame, {}))

    def settle(self, patience: float) -> None:
        """Until everything that is on the wire has been read. Where traffic goes on all the time
        that is never so, and what has come in `patience` seconds has to do."""
        end = time.monotonic() + patience
        while True:
            before = len(self.frames)
            time.sleep(0.02)
            quiet = len(self.frames) == before or time.monotonic() > end
            if quiet and not select.select([self.sock], [], [], 0)[0]:
                return

    def restart(self) -> None:
        self.settle(LAST_FRAMES_BEFORE)
        with self.lock:
            self.frames.clear()
        self.sock.bind(("eth0", ETH_P_ALL))

    def stop(self) -> None:
        self.sock.bind(("eth0", ETH_P_NOBODYS))

    def select(self, direction: str, wanted: dict[str, str]) -> list[tuple[dict[str, Any], bytes]]:
        """The frames, parsed and as they were."""
        if direction not in ("in", "out"):
            raise Failure(f"{direction}: in or out")
        self.settle(LAST_FRAMES)
        with self.lock:
            frames = [(known, data) for outgoing, data, known in self.frames if outgoing == (direction == "out")]
        for known, data in frames:
            if not known:
                known.update(parse(data))
        return [f for f in frames if all(matches(f[0], key, value) for key, value in wanted.items())]


def matches(frame: dict[str, Any], key: str, value: str) -> bool:
    if key.endswith("!"):
        return str(frame.get(key[:-1])) != value
    if key.endswith(">"):
        return int(frame.get(key[:-1], -1)) >= int(value)
    if key == "has":
        return all(c in frame.get("flags", "") for c in value)
    return str(frame.get(key)) == value


class Flow:
    def __init__(self, hosts: dict[str, Netns], proto: str, source: str, other: str, dst: str, dport: int,
                 at: str, port: int, sport: int) -> None:
        family = socket.AF_INET6 if ":" in dst else socket.AF_INET
        kind = socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM
        self.proto, self.stop = proto, threading.Event()
        self.thread: threading.Thread | None = None
        self.sent = self.got = 0
        self.times: list[int] = []
        self.lost = 0
        self.server: socket.socket
        listener = hosts[other].socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((at, port))
        self.client = hosts[source].socket(family, kind)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sport:
            self.client.bind(("", sport))
        self.client.settimeout(TIMEOUT)
        listener.settimeout(TIMEOUT)
        try:
            if proto == "tcp":
                listener.listen(4)
                self.client.connect((dst, dport))
                self.server, self.peer = listener.accept()[0:2]
                listener.close()
                for s in (self.client, self.server):
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            else:
                self.server = listener
                self.client.connect((dst, dport))
                # A conntrack entry is established once both sides have spoken.
                self.client.send(b"hello")
                _, self.peer = listener.recvfrom(64)
                listener.connect(self.peer)
                listener.send(b"hello")
                self.client.recv(64)
        except OSError as e:
            listener.close()
            self.client.close()
            raise Failure(f"{proto} from {source} to {dst}:{dport}: {e}") from None
        for s in (self.client, self.server):
            s.settimeout(TIMEOUT)
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)

    def ends(self, direction: str) -> tuple[socket.socket, socket.socket]:
        if direction not in ("up", "down"):
            raise Failure(f"{direction}: up, down or both")
        return (self.client, self.server) if direction == "up" else (self.server, self.client)

    def send(self, direction: str, count: int, size: int, gap: float) -> None:
        source, sink = self.ends(direction)
        body = bytes(i * 7 % 256 for i in range(max(size, 4)))
        if self.proto == "udp":
            missing = set(range(count))
            for n in range(count):
                source.send(struct.pack(">I", n) + body[4:size])
                # A router on an emulated processor takes what comes slowly.
                if gap:
                    time.sleep(gap)
                while select.select([sink], [], [], 0)[0]:
                    self.take(sink, body, size, missing)
            end = time.monotonic() + TIMEOUT
            while missing and time.monotonic() < end:
                if select.select([sink], [], [], 0.1)[0]:
                    self.take(sink, body, size, missing)
            if missing:
                raise Failure(f"{len(missing)} of {count} datagrams did not arrive")
            return
        writer = threading.Thread(target=self.write_all, args=(source, body[:size], count, gap), daemon=True)
        writer.start()
        left, at = count * size, 0
        while left:
            try:
                data = sink.recv(min(left, 65536))
            except OSError as e:
                raise Failure(f"{left} of {count * size} bytes did not arrive: {e}") from None
            if not data:
                raise Failure(f"closed with {left} bytes to come")
            # The stream repeats the body.
            offset = at % size
            want = (body[:size] * (len(data) // size + 2))[offset:offset + len(data)]
            if data != want:
                raise Failure("the bytes that arrived are not those sent")
            at += len(data)
            left -= len(data)
        writer.join(TIMEOUT)

    def burst(self, direction: str, count: int, size: int, df: bool) -> None:
        source, _ = self.ends(direction)
        # Both modes take the interface's MTU as the path's MTU.
        mode = PMTUDISC_PROBE if df else PMTUDISC_INTERFACE
        source.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, mode)
        if source.family == socket.AF_INET6:
            source.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, mode)
        tries = 2 * count
        while count:
            try:
                source.send(bytes(size))
                count -= 1
            except OSError:
                # The kernel reports a router's answer to an earlier datagram here, once.
                tries -= 1
                if not tries:
                    raise

    @staticmethod
    def take(sink: socket.socket, body: bytes, size: int, missing: set[int]) -> None:
        data = sink.recv(65536)
        if len(data) != size or data[4:] != body[4:size]:
            raise Failure("a datagram arrived changed")
        missing.discard(struct.unpack(">I", data[:4])[0])

    @staticmethod
    def write_all(source: socket.socket, body: bytes, count: int, gap: float) -> None:
        try:
            for _ in range(count):
                source.sendall(body)
                if gap:
                    time.sleep(gap)
        except OSError:
            pass  # The reader says what is missing.

    def stream(self, direction: str, pps: float, size: int) -> None:
        ends = [self.ends(one) for one in (("up", "down") if direction == "both" else (direction,))]
        sinks = [sink for _, sink in ends]
        self.stop.clear()
        self.sent = self.got = 0

        def run() -> None:
            due = time.monotonic()
            while not self.stop.is_set():
                try:
                    if time.monotonic() >= due:
                        for source, _ in ends:
                            source.send(b"%0*d" % (TIME_DIGITS, now_ms()) + b"s" * (size - TIME_DIGITS))
                            self.sent += 1
                        due += 1 / pps
                    for sink in select.select(sinks, [], [], max(0.0, min(due - time.monotonic(), 0.1)))[0]:
                        self.got += 1 if sink.recv(65536) else 0
                except OSError:
                    # Some tests take the network away for a moment.
                    time.sleep(0.01)
                    due = max(due, time.monotonic())
            end = time.monotonic() + 1
            while time.monotonic() < end and self.got < self.sent:
                for sink in select.select(sinks, [], [], 0.1)[0]:
                    self.got += 1 if sink.recv(65536) else 0

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def echo(self, seconds: float) -> dict[str, Any]:
        """Begins, unless it runs already, and measures the next seconds."""
        if not self.thread:
            self.stop.clear()
            self.thread = threading.Thread(target=self.echo_on, daemon=True)
            self.thread.start()
        self.times, self.lost = [], 0
        time.sleep(seconds)
        times, lost = sorted(self.times), self.lost
        if not times:
            raise Failure(f"{lost} datagrams left, and none came back")
        return {"back": len(times), "lost": lost} | {
            key: times[int((len(times) - 1) * share)] // 1000 for key, share in (("median", 0.5), ("p99", 0.99), ("max", 1))}

    def echo_on(self) -> None:
        n = 0
        directions = self.ends("up"), self.ends("down")
        for _, sink in directions:
            sink.settimeout(ECHO_PATIENCE)
        while not self.stop.is_set():
            n += 1
            body, begun = struct.pack(">Q", n).ljust(64, b"e"), time.perf_counter_ns()
            try:
                for source, sink in directions:
                    source.send(body)
                    # A datagram that counts as lost may still come.
                    while sink.recv(65536) != body:
                        pass
                self.times.append(time.perf_counter_ns() - begun)
            except OSError:
                self.lost += 1
            time.sleep(ECHO_GAP)
        for _, sink in directions:
            sink.settimeout(TIMEOUT)

    def halt(self) -> dict[str, Any]:
        self.stop.set()
        if self.thread:
            self.thread.join(TIMEOUT)
        self.thread = None
        return {"sent": self.sent, "got": self.got}

    def close(self, reset: bool) -> None:
        self.halt()
        if reset:
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.client.close()
            time.sleep(0.05)
            self.server.close()
            return
        if self.proto == "tcp":
            # FIN each way and wait for it, so that both are on the wire.
            for a, b in ((self.client, self.server), (self.server, self.client)):
                try:
                    a.shutdown(socket.SHUT_WR)
                    while b.recv(65536):
                        pass
                except OSError as e:
                    raise Failure(f"no orderly end: {e}") from None
            time.sleep(0.05)
        self.client.close()
        self.server.close()


def ipv4_packet(src: str, dst: str, proto: int, payload: bytes, ttl: int = 64, options: bytes = b"",
                fragment: int = 0) -> bytes:
    size = 20 + len(options)
    head = struct.pack(">BBHHHBBH4s4s", 0x40 | size // 4, 0, size + len(payload), 7, fragment, ttl, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst)) + options
    return head[:10] + struct.pack(">H", 0xFFFF ^ checksum(head)) + head[12:] + payload


class Program:
    def __init__(self) -> None:
        self.hosts = {name: Netns(name) for name in ("lan", "wan")}
        self.flows: dict[str, Flow] = {}
        self.stations: dict[str, Station] = {}
        self.captures = {name: Capture(name, ns) for name, ns in self.hosts.items()}

    def flow(self, name: str) -> Flow:
        if name not in self.flows:
            raise Failure(f"no flow {name}")
        return self.flows[name]

    def do_open(self, name: str, proto: str, source: str, dst: str, dport: str, *options: str) -> dict[str, Any]:
        opt = dict(o.split("=", 1) for o in options)
        self.flows[name] = flow = Flow(
            self.hosts, proto, source, opt.get("to") or ("wan" if source == "lan" else "lan"), dst, int(dport),
            opt.get("at", dst), int(opt.get("port", dport)), int(opt.get("sport", "0")))
        return {"sport": flow.client.getsockname()[1], "peer": flow.peer[0], "peerport": flow.peer[1]}

    def do_send(self, name: str, direction: str, count: str, size: str, *options: str) -> dict[str, Any]:
        opt = dict(o.split("=", 1) for o in options)
        for d in ("up", "down") if direction == "both" else (direction,):
            self.flow(name).send(d, int(count), int(size), float(opt.get("gap", "0")) / 1000)
        return {}

    def do_burst(self, name: str, direction: str, count: str, size: str, *options: str) -> dict[str, Any]:
        self.flow(name).burst(direction, int(count), int(size), "df" in options)
        return {}

    def do_stream(self, name: str, direction: str, pps: str, size: str) -> dict[str, Any]:
        if int(size) < TIME_DIGITS:
            raise Failure(f"stream {name}: of {TIME_DIGITS} bytes or more")
        self.flow(name).stream(direction, float(pps), int(size))
        return {}

    def do_time(self) -> dict[str, Any]:
        return {"time_ms": now_ms()}

    def do_echo(self, name: str, seconds: str) -> dict[str, Any]:
        return self.flow(name).echo(float(seconds))

    def do_halt(self, name: str) -> dict[str, Any]:
        return self.flow(name).halt()

    def do_close(self, name: str) -> dict[str, Any]:
        self.flow(name).close(False)
        del self.flows[name]
        return {}

    def do_reset(self, name: str) -> dict[str, Any]:
        self.flow(name).close(True)
        del self.flows[name]
        return {}

    def do_raw(self, host: str, kind: str, name: str) -> dict[str, Any]:
        """An IPv4 UDP frame with the addresses of an open flow, from its client."""
        flow = self.flow(name)
        (src, sport), (dst, dport) = flow.client.getsockname()[:2], flow.client.getpeername()[:2]
        payload = kind.encode().ljust(20, b".")
        udp = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0)
        pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack(">HH", 17, len(udp) + len(payload))
        udp = udp[:6] + struct.pack(">H", 0xFFFF ^ checksum(pseudo + udp + payload)) + payload
        packet = {
            "plain": lambda: ipv4_packet(src, dst, 17, udp),
            "ttl1": lambda: ipv4_packet(src, dst, 17, udp, ttl=1),
            # Four no-operations: options, and nothing that asks for anything.
            "options": lambda: ipv4_packet(src, dst, 17, udp, options=b"\1\1\1\0"),
            "fragment": lambda: ipv4_packet(src, dst, 17, udp[:24], fragment=0x2000),
            "badcsum": lambda: ipv4_packet(src, dst, 17, udp[:6] + b"\x12\x34" + udp[8:]),
        }.get(kind)
        if not packet:
            raise Failure(f"no kind of frame {kind}")
        out = self.hosts[host].socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        out.bind(("eth0", 0))
        neighbour = os.environ[f"{host.upper()}_PORT_MAC"]
        out.send(bytes.fromhex(neighbour.replace(":", "")) + out.getsockname()[4] + b"\x08\x00" + packet())
        out.close()
        return {}

    def do_vlan(self, host: str, tags: str, *addresses: str) -> dict[str, Any]:
        mac, netns = os.environ[f"{host.upper()}_HOST_MAC"], self.hosts[host]
        self.stations[f"{host}.{tags}"] = Station(netns, netns, f"eth0.{tags}", mac, tags, addresses)
        return {}

    def do_station(self, host: str, name: str, mac: str, *words: str) -> dict[str, Any]:
        tags, addresses = (words[0], words[1:]) if "/" not in words[0] else ("", words)
        ip("netns", "add", name)
        self.hosts[name] = home = Netns(name)
        self.stations[name] = Station(self.hosts[host], home, "eth0", mac, tags, addresses)
        return {}

    def do_unplug(self, name: str) -> dict[str, Any]:
        self.stations.pop(name).unplug()
        if self.hosts.get(name) and name not in self.captures:
            ip("netns", "del", name)
            del self.hosts[name]
        return {}

    def do_capture(self, off: str = "") -> dict[str, Any]:
        if off not in ("", "off"):
            raise Failure(f"capture {off}: off or nothing")
        for capture in self.captures.values():
            capture.stop() if off else capture.restart()
        return {}

    def do_count(self, host: str, direction: str, *wanted: str) -> dict[str, Any]:
        frames = self.captures[host].select(direction, dict(w.split("=", 1) for w in wanted))
        return {"frames": len(frames), "bytes": sum(f["bytes"] for f, _ in frames)}

    def do_show(self, host: str, direction: str, *wanted: str) -> dict[str, Any]:
        frames = self.captures[host].select(direction, dict(w.split("=", 1) for w in wanted))
        return frames[0][0] if frames else {"frames": 0}

    def do_changes(self, source: str, sink: str, *words: str) -> dict[str, Any]:
        cut = words.index("to")
        out, came = ([(parsed["csum"], headers(data)) for parsed, data in
                      self.captures[host].select(direction, dict(w.split("=", 1) for w in wanted))]
                     for host, direction, wanted in ((source, "out", words[:cut]), (sink, "in", words[cut + 1:])))
        if not out or len(out) != len(came):
            raise Failure(f"{len(out)} frames left {source}, {len(came)} came to {sink}")
        left: dict[Any, list[dict[str, Any]]] = {}
        for _, f in out:
            left.setdefault(f.pop("frame"), []).append(f)
        found = ""
        for csum, after in came:
            if csum != "ok":
                raise Failure("a wrong checksum")
            sent = left.get(after.pop("frame"))
            if not sent:
                raise Failure("a frame came that was not sent")
            before = sent.pop()
            changes = ",".join(f"{key}:{before.get(key, '')}>{after.get(key, '')}" for key in {**before, **after}
                               if before.get(key) != after.get(key))
            if found not in ("", changes):
                raise Failure(f"not all frames changed alike: {found} and {changes}")
            found = changes
        return {"frames": len(came), "changes": found}

    def run(self) -> None:
        for line in sys.stdin:
            words = shlex.split(line)
            if not words:
                continue
            action: Callable[..., dict[str, Any]] | None = getattr(self, f"do_{words[0]}", None)
            try:
                if not action:
                    raise Failure(f"no command {words[0]}")
                result = action(*words[1:])
                print("ok", *(f"{k}={v}" for k, v in result.items()), flush=True)
            except (Failure, OSError, TypeError, ValueError, KeyError, subprocess.CalledProcessError) as e:
                print(f"fail {words[0]}: {e}", flush=True)


if __name__ == "__main__":
    Program().run()
