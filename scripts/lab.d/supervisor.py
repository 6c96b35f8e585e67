# SPDX-License-Identifier: GPL-2.0-only
"""The first process of a lab's namespaces. It starts the engine, the router and the hosts,
and serves requests. When it ends, however it ends, the kernel ends all other processes and
removes the namespaces."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Iterator, Sequence

import isp
from channel import recv_frame, request, send_frame
from host import LabError, add_addresses, in_netns, must, open_tap, place_tap
from settings import SCRIPTS, Settings, environment, vppe, vppe_program
from topology import (ADDR4, ADDR6, ENGINES, GUEST_PORT, HOST_MAC, HOST_PORT, MGMT_GUEST, MGMT_HOST, MGMT_MAC, PORT_MAC,
                      PORTS)


def time_stamp_khz() -> int:
    """The frequency of the processor's time stamp counter, in kHz."""
    # rdtsc; shl $32,%rdx; or %rdx,%rax; ret
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))
    count = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))

    def both() -> tuple[int, int]:
        """The counter, and the time halfway between two close readings of the clock."""
        looks = [(time.monotonic_ns(), count(), time.monotonic_ns()) for _ in range(8)]
        before, ticks, after = min(looks, key=lambda look: look[2] - look[0])
        return ticks, (before + after) // 2

    first = both()
    time.sleep(0.05)
    last = both()
    return (last[0] - first[0]) * 1_000_000 // (last[1] - first[1])


def lines_of(tree: Any) -> str:
    """JSON as lines of a dotted key and a value, for shells."""
    def walk(at: str, value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(f"{at}.{key}" if at else key, inner)
        elif isinstance(value, list):
            for n, inner in enumerate(value):
                name = inner.get("name", n) if isinstance(inner, dict) else n
                yield from walk(f"{at}.{name}" if at else str(name), inner)
        else:
            yield f"{at} {json.dumps(value) if isinstance(value, bool) else value}"

    return "".join(f"{line}\n" for line in walk("", tree))


class Supervisor:
    def __init__(self, settings: Settings) -> None:
        self.s = settings
        self.run = Path("/run/lab")
        self.hosts = settings.dir / "hosts"
        self.vppes: list[subprocess.Popen[bytes]] = []
        self.qemu: subprocess.Popen[bytes] | None = None
        self.isp: subprocess.Popen[bytes] | None = None
        self.qmp_lock = threading.Lock()
        self.stop = threading.Event()
        self.control = settings.dir / "sock"

    def state(self, what: str, why: str = "") -> None:
        part = self.s.dir / "state.part"
        part.write_text(json.dumps({"state": what, "why": why, **asdict(self.s)}))
        part.rename(self.s.dir / "state")

    # The parts of a lab, in the order in which they start.

    def prepare_namespaces(self) -> None:
        must("mount", "-t", "proc", "proc", "/proc")
        must("mount", "-t", "tmpfs", "tmpfs", "/run")
        self.run.mkdir()
        self.hosts.mkdir(exist_ok=True)
        must("ip", "link", "set", "lo", "up")
        for port in PORTS:
            must("ip", "netns", "add", port)
            must("ip", "-n", port, "link", "set", "lo", "up")
            for key in ("all", "default"):
                must(*in_netns(port, "sysctl", "-qw", f"net.ipv6.conf.{key}.accept_ra=0",
                               f"net.ipv6.conf.{key}.accept_dad=0"))

    def start_engine(self, number: int) -> None:
        s = self.s
        name = f"vppe{number}"
        # A chip answers an access to a register at once, whatever else the machine does. A
        # driver may give up an engine that does not.
        argv = ["nice", "-n", "-10", str(vppe_program()), "run", "--chip", s.chip, "--vfio-user", str(self.run / f"vfio{number}"),
                "--control", str(self.run / name), *s.vppe_args]
        for port in ENGINES[number - 1]:
            tag = ",tag=mtk" if port == s.switch else ""
            argv += ["--port", f"name={port},mac={PORT_MAC[port]},tap=h-{port},nic={self.run / port}{tag}"]
        with open(s.dir / f"{name}.log", "wb") as log:
            vppe = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        self.vppes.append(vppe)
        assert vppe.stdout
        deadline = time.monotonic() + 15
        line = b""
        while time.monotonic() < deadline:
            if not select.select([vppe.stdout], [], [], 0.5)[0]:
                continue
            line = vppe.stdout.readline()
            if b'"ready"' in line or not line:
                break
        if b'"ready"' not in line:
            tail = (s.dir / f"{name}.log").read_text(errors="replace").splitlines()[-3:]
            raise LabError(f"the engine does not start: {' / '.join(tail) or 'no answer in 15 s'}")
        threading.Thread(target=self.log_engine, args=(vppe, s.dir / f"{name}.events"), daemon=True).start()

    def log_engine(self, vppe: subprocess.Popen[bytes], path: Path) -> None:
        assert vppe.stdout
        with open(path, "wb") as out:
            for line in vppe.stdout:
                out.write(line)
                out.flush()

    def set_up_host(self, port: str) -> None:
        place_tap(f"h-{port}", port, "eth0", HOST_MAC[port])
        dev = isp.join(HOST_MAC[port]) if self.s.isp and port == isp.PORT else "eth0"
        add_addresses(port, dev, f"{ADDR4[port][1]}/24", f"{ADDR6[port][1]}/64")
        must("ip", "-n", port, "route", "add", "default", "via", ADDR4[port][0])
        must("ip", "-n", port, "-6", "route", "add", "default", "via", ADDR6[port][0])

    def set_up_second(self, host: str, port: str, other: str) -> None:
        """A host's interface at the wire of the second engine, and its routes to the other host there."""
        place_tap(f"h-{port}", host, "eth2", HOST_MAC[port])
        add_addresses(host, "eth2", f"{ADDR4[port][1]}/24", f"{ADDR6[port][1]}/64")
        must("ip", "-n", host, "route", "add", f"{ADDR4[other][1]}/32", "via", ADDR4[port][0])
        must("ip", "-n", host, "-6", "route", "add", f"{ADDR6[other][1]}/128", "via", ADDR6[port][0])

    def initramfs(self, name: str, nics: dict[str, str], addresses: Sequence[tuple[str, str]],
                  programs: Sequence[str] = (), overlay: str = "") -> str:
        """Path of the initramfs of the guest `name`, with its ports by MAC address, its addresses, and more
        programs and files."""
        s = self.s
        (self.run / f"{name}.nics").write_text("".join(f"{mac} {port}\n" for port, mac in nics.items()))
        (self.run / f"{name}.addresses").write_text("".join(f"{port} {address}\n" for port, address in addresses))
        done = subprocess.run(
            [SCRIPTS / "initramfs", "--release", s.kernel["release"], "--modules", s.kernel["modules"],
             "--cc", s.kernel["cc"],
             "--nics", self.run / f"{name}.nics", "--addresses", self.run / f"{name}.addresses",
             *(f"--program={program}" for program in programs), *([f"--overlay={overlay}"] if overlay else [])],
            stdout=subprocess.PIPE, stderr=open(s.dir / "initramfs.log", "wb"), text=True)
        if done.returncode:
            log = (s.dir / "initramfs.log").read_text(errors="replace").strip()
            raise LabError(f"no initramfs: {log.splitlines()[-1] if log else 'see initramfs.log'}")
        return done.stdout.strip()

    def guest(self, memory: str, initrd: str, console: str, mgmt: int, append: str = "") -> list[str]:
        """QEMU's arguments for any guest; mgmt is the TAP of its command channel."""
        s = self.s
        m = s.machine
        size = f"{s.megabytes(memory)}M"
        # On a busy machine the guest would measure a wrong frequency, and its clock would be wrong.
        clock = f"tsc_early_khz={time_stamp_khz()}" if s.kernel["karch"] == os.uname().machine == "x86_64" else ""
        return [m.program, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
                "-machine", f"{m.machine},accel=tcg,memory-backend=mem",
                "-object", f"memory-backend-memfd,id=mem,size={size},share=on",
                "-m", size, "-cpu", m.cpu,
                "-kernel", s.kernel["vmlinuz"], "-initrd", initrd,
                "-append", f"console={m.console} loglevel=5 panic=1 {m.append} "
                "cryptomgr.notests audit=0 apparmor=0 selinux=0 random.trust_cpu=on "
                f"rcupdate.rcu_expedited=1 {clock} {append}".strip(),
                "-chardev", f"file,id=console,path={s.dir / console}", "-serial", "chardev:console",
                "-netdev", f"tap,id=mgmt,fd={mgmt}",
                "-device", f"virtio-net-pci,netdev=mgmt,mac={MGMT_MAC},romfile="]

    @staticmethod
    def nic(name: str, mac: str) -> list[str]:
        return ["-device", f"virtio-net-pci,id=nic-{name},netdev={name},mac={mac},romfile=,"
                "csum=off,gso=off,host_tso4=off,host_tso6=off,guest_csum=off,guest_tso4=off,"
                "guest_tso6=off,rx_queue_size=1024"]

    def open_mgmt(self, name: str, network: tuple[str, str]) -> int:
        fd = open_tap(name)
        must("ip", "addr", "add", f"{network[0]}/30", "dev", name)
        must("ip", "link", "set", name, "up")
        return fd

    def start_router(self) -> None:
        s = self.s
        initrd = self.initramfs("router", {**{port: PORT_MAC[port] for port in s.ports}, "mgmt": MGMT_MAC}, [
            ("mgmt", f"{MGMT_GUEST}/30"),
            *((port, address) for port in s.ports for address in (f"{ADDR4[port][0]}/24", f"{ADDR6[port][0]}/64"))],
            s.programs, s.overlay)
        for number in range(1, s.engines + 1):
            self.start_engine(number)
        fds = [self.open_mgmt("mgmt", (MGMT_HOST, MGMT_GUEST))]
        argv = [*self.guest(s.memory, initrd, "console.log", fds[0], s.append), "-smp", str(s.vcpus),
                "-qmp", f"unix:{self.run / 'qmp'},server=on,wait=off"]
        for port in s.ports:
            if s.engines:
                argv += ["-netdev", f"stream,id={port},server=off,addr.type=unix,addr.path={self.run / port}"]
            else:
                fds.append(open_tap(f"h-{port}"))
                argv += ["-netdev", f"tap,id={port},fd={fds[-1]}"]
            argv += self.nic(port, PORT_MAC[port])
        for number in range(1, max(s.engines, 1) + 1):
            argv += ["-device", f"pcie-root-port,id=slot{number},chassis={number},slot={number}"]
        for number in range(1, s.engines + 1):
            argv += ["-device", json.dumps(self.engine_device(number))]
        with open(s.dir / "qemu.log", "wb") as log:
            self.qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=fds)
        for fd in fds:
            os.close(fd)
        for port in PORTS:
            self.set_up_host(port)
        if s.engines > 1:
            lan, wan = ENGINES[1]
            self.set_up_second("lan", lan, wan)
            self.set_up_second("wan", wan, lan)

    def start_isp(self) -> None:
        initrd = self.initramfs("isp", {**isp.MAC, "mgmt": MGMT_MAC}, [
            ("mgmt", f"{isp.MGMT_GUEST}/30"), *(("core", address) for address in isp.CORE_ROUTER)])
        fds = [self.open_mgmt("mgmt-isp", (isp.MGMT_HOST, isp.MGMT_GUEST))]
        argv = self.guest(isp.MEMORY, initrd, "isp.log", fds[0])
        for port, mac in isp.MAC.items():
            fds.append(open_tap(isp.TAP[port]))
            argv += ["-netdev", f"tap,id={port},fd={fds[-1]}", *self.nic(port, mac)]
        with open(self.s.dir / "isp-qemu.log", "wb") as log:
            self.isp = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=fds)
        for fd in fds:
            os.close(fd)
        isp.set_up_host()

    def engine_device(self, number: int) -> dict[str, Any]:
        return {"driver": "vfio-user-pci", "id": f"ppe{number}", "bus": f"slot{number}",
                "socket": {"path": str(self.run / f"vfio{number}"), "type": "unix"}}

    def wait_ready(self, who: str, qemu: subprocess.Popen[bytes], console: Path, log: Path) -> None:
        deadline = time.monotonic() + self.s.boot_timeout
        while time.monotonic() < deadline:
            text = console.read_text(errors="replace") if console.exists() else ""
            if "lab: READY" in text:
                return
            if qemu.poll() is not None or "lab: FAILED" in text:
                break
            time.sleep(0.05)
        why = f"{who} did not boot"
        if qemu.poll() is not None:
            why = f"QEMU ended with status {qemu.returncode}"
        elif time.monotonic() >= deadline:
            why = f"{who} did not boot in {self.s.boot_timeout} s"
        lines = log.read_text(errors="replace").splitlines()
        lines += console.read_text(errors="replace").splitlines() if console.exists() else []
        raise LabError("\n    ".join([why + "; the end of its console:", *lines[-15:]]))

    # Requests.

    def listen(self) -> None:
        outside = socket.socket(socket.AF_UNIX)
        self.control.unlink(missing_ok=True)
        outside.bind(str(self.control))
        outside.listen(64)
        inside = socket.create_server((MGMT_HOST, HOST_PORT), backlog=64)
        for server in (outside, inside):
            threading.Thread(target=self.accept, args=(server,), daemon=True).start()

    def accept(self, server: socket.socket) -> None:
        while True:
            conn, _ = server.accept()
            if conn.family == socket.AF_INET:
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn: socket.socket) -> None:
        with conn:
            try:
                kind, data = recv_frame(conn)
                if kind != b"A":
                    return
                target, term, *argv = [w.decode() for w in data.split(b"\0")[:-1]]
                guests = {"router": MGMT_GUEST} | ({"isp": isp.MGMT_GUEST} if self.isp else {})
                if target in guests:
                    self.relay(conn, data, guests[target])
                    return
                if target in PORTS:
                    argv = in_netns(target, *argv)
                elif target == "hosts":
                    pass
                elif target == "vppectl":
                    argv = [str(vppe_program()), "ctl", "--control", str(self.run / "vppe1"), *argv]
                else:
                    try:
                        if target == "isp":
                            raise LabError("this lab has none; --isp makes one")
                        out = self.qmp(*argv) if target == "qmp" else self.command(*argv)
                        send_frame(conn, b"O", out.encode())
                        send_frame(conn, b"X", struct.pack(">I", 0))
                    except (LabError, OSError, TypeError, ValueError, LookupError) as e:
                        send_frame(conn, b"E", f"{target}: {e}\n".encode())
                        send_frame(conn, b"X", struct.pack(">I", 1))
                    if target == "lab" and argv == ["down"]:
                        self.stop.set()
                    return
                self.spawn(conn, argv)
            except OSError:
                return

    def relay(self, conn: socket.socket, first: bytes, address: str) -> None:
        guest = socket.create_connection((address, GUEST_PORT), timeout=20)
        guest.settimeout(None)
        guest.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with guest:
            send_frame(guest, b"A", first)
            peer = {conn: guest, guest: conn}
            while True:
                for sock in select.select([conn, guest], [], [])[0]:
                    data = sock.recv(65536)
                    if not data:
                        return
                    peer[sock].sendall(data)

    def spawn(self, conn: socket.socket, argv: list[str]) -> None:
        """Runs a command beside the hosts; ends it when the client goes away."""
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 start_new_session=True, cwd=self.hosts, env={**os.environ, **environment()})
        assert child.stdin and child.stdout and child.stderr
        pidfd = os.pidfd_open(child.pid)
        outputs = {child.stdout.fileno(): b"O", child.stderr.fileno(): b"E"}

        def forward(fd: int) -> None:
            data = os.read(fd, 65536)
            if data:
                send_frame(conn, outputs[fd], data)
            else:
                del outputs[fd]

        gone = False
        try:
            while True:
                ready = select.select([conn, pidfd, *outputs], [], [])[0]
                for fd in [f for f in ready if f in outputs]:
                    forward(fd)
                if conn in ready:
                    kind, data = recv_frame(conn)
                    try:
                        if kind == b"I" and data:
                            child.stdin.write(data)
                            child.stdin.flush()
                        elif kind == b"I":
                            child.stdin.close()
                    except (BrokenPipeError, ValueError):
                        pass
                if pidfd in ready:
                    break
            # As in agent.c: the last output of the command, but not that of a daemon it left.
            while outputs:
                ready = select.select(list(outputs), [], [], 0.05)[0]
                if not ready:
                    break
                for fd in ready:
                    forward(fd)
        except OSError:
            gone = True
        finally:
            if child.poll() is None:
                try:
                    os.killpg(child.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            code = child.wait()
            os.close(pidfd)
            child.stdout.close()
            child.stderr.close()
        if not gone:
            send_frame(conn, b"X", struct.pack(">I", code if code >= 0 else 128 - code))

    def qmp(self, command: str, arguments: str = "{}") -> str:
        """One QMP command; its answer as JSON."""
        with self.qmp_lock, socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(self.run / "qmp"))
            stream = sock.makefile("rw")

            def ask(name: str, args: dict[str, Any]) -> Any:
                stream.write(json.dumps({"execute": name, "arguments": args}) + "\n")
                stream.flush()
                for line in stream:
                    answer = json.loads(line)
                    if "error" in answer:
                        raise LabError(f"{name}: {answer['error']['desc']}")
                    if "return" in answer:
                        return answer["return"]
                raise LabError(f"{name}: QEMU hung up")

            stream.readline()
            ask("qmp_capabilities", {})
            return json.dumps(ask(command, json.loads(arguments))) + "\n"

    def command(self, verb: str, *args: str) -> str:
        """Executes a command for the lab itself."""
        number = 1
        if verb in ("engine", "plug", "unplug") and args and args[0].isdecimal():
            number, args = int(args[0]), args[1:]
        if verb == "unplug":
            self.qmp("device_del", json.dumps({"id": f"ppe{number}"}))
        elif verb == "plug":
            self.qmp("device_add", json.dumps(self.engine_device(number)))
        elif verb == "log":
            return (self.s.dir / "console.log").read_text(errors="replace")
        elif verb == "link":
            # The cable of a port: up or down.
            self.qmp("set_link", json.dumps({"name": f"nic-{args[0]}", "up": args[1] == "up"}))
        elif verb == "cpu":
            return f"{self.router_cpu_ns()}\n"
        elif verb == "engine":
            return lines_of(vppe("ctl", "--control", str(self.run / f"vppe{number}"), *args))
        elif verb == "bucket":
            # Which flows share the bucket of one flow.
            return lines_of(vppe("bucket", "--chip", self.s.chip, *args))
        elif verb not in ("down", "ping"):
            raise LabError(f"no such verb: {verb} (unplug [N], plug [N], link PORT up|down, engine [N] CMD…, "
                           "bucket --src A:P --dst A:P, cpu, log, ping, down)")
        return ""

    def router_cpu_ns(self) -> int:
        """Time for which the router's processors ran. The thread of an idle emulated processor
        sleeps, so the thread's time is right. The router's own accounting samples once a tick,
        and misses work in interrupts between two ticks."""
        assert self.qemu
        threads = [cpu["thread-id"] for cpu in json.loads(self.qmp("query-cpus-fast"))]
        return sum(int(Path(f"/proc/{self.qemu.pid}/task/{tid}/schedstat").read_text().split()[0]) for tid in threads)

    # From start to end.

    def save_dmesg(self) -> None:
        """The serial line can lose the beginning of the log; the kernel's ring buffer has it."""
        try:
            with socket.create_connection((MGMT_GUEST, GUEST_PORT), timeout=3) as sock:
                sock.settimeout(10)
                send_frame(sock, b"A", request("router", ["dmesg"]))
                out = b""
                while True:
                    kind, data = recv_frame(sock)
                    if kind == b"O":
                        out += data
                    elif kind == b"X":
                        break
            (self.s.dir / "dmesg.log").write_bytes(out)
        except OSError:
            pass

    def watch(self) -> None:
        """Waits until somebody ends the lab, or the router, the provider or an engine ends."""
        assert self.qemu
        while not self.stop.wait(0.1):
            if self.qemu.poll() is not None:
                self.state("dead", f"the router ended (QEMU status {self.qemu.returncode})")
                return
            if self.isp and self.isp.poll() is not None:
                self.state("dead", f"the provider ended (QEMU status {self.isp.returncode})")
                self.save_dmesg()
                return
            for vppe in self.vppes:
                if vppe.poll() is not None:
                    self.state("dead", f"the engine ended with status {vppe.returncode}")
                    self.save_dmesg()
                    return
        self.save_dmesg()
        self.state("down")

    def main(self) -> int:
        signal.signal(signal.SIGTERM, lambda *_: self.stop.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        begun = time.monotonic()
        try:
            self.state("starting")
            self.prepare_namespaces()
            self.start_router()
            if self.s.isp:
                self.start_isp()
            assert self.qemu
            self.wait_ready("the router", self.qemu, self.s.dir / "console.log", self.s.dir / "qemu.log")
            if self.isp:
                self.wait_ready("the provider", self.isp, self.s.dir / "isp.log", self.s.dir / "isp-qemu.log")
            self.listen()
        except LabError as e:
            self.state("failed", str(e))
            return 1
        self.state("ready", f"{time.monotonic() - begun:.1f} s")
        self.watch()
        self.control.unlink(missing_ok=True)
        return 0


if __name__ == "__main__":
    sys.exit(Supervisor(Settings(**json.loads(sys.argv[1]))).main())
