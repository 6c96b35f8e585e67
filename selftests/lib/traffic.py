#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Both hosts of a selftest: opens flows between them, moves data, and captures every frame
on both wires.

It is one process with sockets in both network namespaces. So a test can say "send this,
and tell me whether it arrived", and no two programs have to find each other. It reads one
command a line, and answers with one line: `ok` and key=value words, or `fail` and why.

  open FLOW udp|tcp FROM DST DPORT [to=HOST] [at=ADDR] [port=P] [sport=S] [answer=no]
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
from typing import Any, Callable, Sequence

from frames import ETH_P_PPP_SES, PPP_PROTOCOLS, TIME_DIGITS, TPIDS, Failure, odd_packet, packed, parse

SLOW = int(os.environ.get("SLOW", "1"))
TIMEOUT = 5.0 * SLOW
# How long (s) to wait for a moment without frames, before frames are counted, and before a new
# capture begins. Some tests begin a capture a certain time after an event.
LAST_FRAMES, LAST_FRAMES_BEFORE = 1.0 * SLOW, 0.2
ECHO_GAP = 0.005
# A round trip that takes longer is lost. Every measurement takes longer than this.
ECHO_PATIENCE = 0.4
ETH_P_ALL, ETH_P_NOBODYS = 3, 0x88B5
PACKET_OUTGOING = 4
# Python's module socket does not have these.
SO_RCVBUFFORCE, SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 33, 263, 8, 0x10
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_PROBE, PMTUDISC_INTERFACE = 10, 23, 3, 4
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


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
        self.frames: list[tuple[bool, bytes, list[dict[str, Any]]]] = []
        self.lock = threading.Lock()
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self) -> None:
        while True:
            outgoing, frame = receive(self.sock)
            with self.lock:
                self.frames.append((outgoing, frame, []))

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

    def select(self, direction: str, wanted: dict[str, str]) -> list[list[dict[str, Any]]]:
        """Of each of the frames what a filter may have, and all headers."""
        if direction not in ("in", "out"):
            raise Failure(f"{direction}: in or out")
        self.settle(LAST_FRAMES)
        with self.lock:
            frames = [(known, data) for outgoing, data, known in self.frames if outgoing == (direction == "out")]
        for known, data in frames:
            if not known:
                known += parse(data)
        return [known for known, _ in frames if all(matches(known[0], key, value) for key, value in wanted.items())]


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
                 at: str, port: int, sport: int, answer: bool) -> None:
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
                if answer:
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
        elif self.proto == "tcp":
            # FIN each way and wait for it, so that both are on the wire.
            for a, b in ((self.client, self.server), (self.server, self.client)):
                try:
                    a.shutdown(socket.SHUT_WR)
                    while b.recv(65536):
                        pass
                except OSError as e:
                    raise Failure(f"no orderly end: {e}") from None
        if reset or self.proto == "tcp":
            time.sleep(0.05)
        self.client.close()
        self.server.close()


def options(words: Sequence[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)


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

    def do_open(self, name: str, proto: str, source: str, dst: str, dport: str, *words: str) -> dict[str, Any]:
        opt = options(words)
        self.flows[name] = flow = Flow(
            self.hosts, proto, source, opt.get("to") or ("wan" if source == "lan" else "lan"), dst, int(dport),
            opt.get("at", dst), int(opt.get("port", dport)), int(opt.get("sport", "0")), opt.get("answer") != "no")
        return {"sport": flow.client.getsockname()[1], "peer": flow.peer[0], "peerport": flow.peer[1]}

    def do_send(self, name: str, direction: str, count: str, size: str, *words: str) -> None:
        for d in ("up", "down") if direction == "both" else (direction,):
            self.flow(name).send(d, int(count), int(size), float(options(words).get("gap", "0")) / 1000)

    def do_burst(self, name: str, direction: str, count: str, size: str, df: str = "") -> None:
        self.flow(name).burst(direction, int(count), int(size), df == "df")

    def do_stream(self, name: str, direction: str, pps: str, size: str) -> None:
        if int(size) < TIME_DIGITS:
            raise Failure(f"stream {name}: of {TIME_DIGITS} bytes or more")
        self.flow(name).stream(direction, float(pps), int(size))

    def do_time(self) -> dict[str, Any]:
        return {"time_ms": now_ms()}

    def do_echo(self, name: str, seconds: str) -> dict[str, Any]:
        return self.flow(name).echo(float(seconds))

    def do_halt(self, name: str) -> dict[str, Any]:
        return self.flow(name).halt()

    def do_close(self, name: str, reset: bool = False) -> None:
        self.flow(name).close(reset)
        del self.flows[name]

    def do_reset(self, name: str) -> None:
        self.do_close(name, True)

    def do_raw(self, host: str, kind: str, name: str) -> None:
        """An IPv4 UDP frame with the addresses of an open flow, from its client."""
        flow = self.flow(name)
        packet = odd_packet(kind, flow.client.getsockname()[:2], flow.client.getpeername()[:2])
        out = self.hosts[host].socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        out.bind(("eth0", 0))
        neighbour = os.environ[f"{host.upper()}_PORT_MAC"]
        out.send(bytes.fromhex(neighbour.replace(":", "")) + out.getsockname()[4] + b"\x08\x00" + packet)
        out.close()

    def do_vlan(self, host: str, tags: str, *addresses: str) -> None:
        mac, netns = os.environ[f"{host.upper()}_HOST_MAC"], self.hosts[host]
        self.stations[f"{host}.{tags}"] = Station(netns, netns, f"eth0.{tags}", mac, tags, addresses)

    def do_station(self, host: str, name: str, mac: str, *words: str) -> None:
        tags, addresses = (words[0], words[1:]) if "/" not in words[0] else ("", words)
        ip("netns", "add", name)
        self.hosts[name] = home = Netns(name)
        self.stations[name] = Station(self.hosts[host], home, "eth0", mac, tags, addresses)

    def do_unplug(self, name: str) -> None:
        self.stations.pop(name).unplug()
        if self.hosts.get(name) and name not in self.captures:
            ip("netns", "del", name)
            del self.hosts[name]

    def do_capture(self, off: str = "") -> None:
        if off not in ("", "off"):
            raise Failure(f"capture {off}: off or nothing")
        for capture in self.captures.values():
            capture.stop() if off else capture.restart()

    def do_count(self, host: str, direction: str, *wanted: str) -> dict[str, Any]:
        frames = self.captures[host].select(direction, options(wanted))
        return {"frames": len(frames), "bytes": sum(f["bytes"] for f, _ in frames)}

    def do_show(self, host: str, direction: str, *wanted: str) -> dict[str, Any]:
        frames = self.captures[host].select(direction, options(wanted))
        return frames[0][0] if frames else {"frames": 0}

    def do_changes(self, source: str, sink: str, *words: str) -> dict[str, Any]:
        cut = words.index("to")
        out, came = (self.captures[host].select(direction, options(wanted)) for host, direction, wanted in (
            (source, "out", words[:cut]), (sink, "in", words[cut + 1:])))
        if not out or len(out) != len(came):
            raise Failure(f"{len(out)} frames left {source}, {len(came)} came to {sink}")
        left: dict[Any, list[dict[str, Any]]] = {}
        for parsed, h in out + came:
            if "frame" not in h:
                raise Failure(f"a frame of type {parsed['ethertype']}, protocol {parsed['proto']}")
        for _, h in out:
            left.setdefault(h["frame"], []).append(h)
        found = ""
        for parsed, after in came:
            if parsed["csum"] != "ok":
                raise Failure("a wrong checksum")
            if not left.get(after["frame"]):
                raise Failure("a frame came that was not sent")
            before = left[after["frame"]].pop()
            changes = ",".join(f"{key}:{before.get(key, '')}>{after.get(key, '')}" for key in {**before, **after}
                               if before.get(key) != after.get(key))
            if found not in ("", changes):
                raise Failure(f"not all frames changed alike: {found} and {changes}")
            found = changes
        return {"frames": len(came), "changes": found}

    def run(self) -> None:
        for line in sys.stdin:
            if not (words := shlex.split(line)):
                continue
            action: Callable[..., dict[str, Any] | None] | None = getattr(self, f"do_{words[0]}", None)
            try:
                if not action:
                    raise Failure(f"no command {words[0]}")
                result = action(*words[1:]) or {}
                print("ok", *(f"{k}={v}" for k, v in result.items()), flush=True)
            except (Failure, OSError, TypeError, ValueError, KeyError, subprocess.CalledProcessError) as e:
                print(f"fail {words[0]}: {e}", flush=True)


if __name__ == "__main__":
    Program().run()
