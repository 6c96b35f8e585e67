# SPDX-License-Identifier: GPL-2.0-only
"""The lab: an emulated router between two hosts, as one thing.

A lab is one process tree in network, process and mount namespaces of its own.
Its first process is the supervisor below; when that ends, however it ends, the
kernel ends the rest and the namespaces go with them. So a lab leaves nothing
behind, and two of them share no name but their folder in build/lab.

    lan host ── TAP ── vppe ── TAP ── wan host      namespaces lan and wan
                        │
                      QEMU                          the router
                        │
                    mgmt TAP                        the command channel

isp.py puts a second guest before the wan host, for tests that ask for it. A second
engine (--engines 2) is beside the first one, with ports and wires of its own.

The command channel (agent.c says how it speaks) carries requests both ways:
from outside into the router, and from a script in the router to the hosts, the
engine and QEMU.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import mmap
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import termios
import threading
import time
import tty
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Iterator, NoReturn, Sequence

import isp
from host import LabError, add_addresses, in_netns, must, open_tap, place_tap

LAB_D = Path(__file__).resolve().parent
SCRIPTS = LAB_D.parent
TOP = SCRIPTS.parent
LABS = TOP / "build" / "lab"

# Where the router keeps what is copied into it.
GUEST_TESTS = "/root/selftests"
GUEST_ORACLE = "/root/nft_offload_oracle.ko"

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
    """The names under which tests know the addresses, and how patient to be."""
    names = {"SELFTESTS_DIR": str(TOP / "selftests"), "SLOW": str(slow())}
    for port in PORT_MAC:
        up = port.upper()
        names |= {f"{up}_ROUTER4": ADDR4[port][0], f"{up}_HOST4": ADDR4[port][1],
                  f"{up}_ROUTER6": ADDR6[port][0], f"{up}_HOST6": ADDR6[port][1],
                  f"{up}_PORT_MAC": PORT_MAC[port], f"{up}_HOST_MAC": HOST_MAC[port]}
    return names | isp.topology()


@dataclass(frozen=True)
class Machine:
    """How QEMU emulates a router of one architecture."""
    program: str
    machine: str
    cpu: str
    console: str
    append: str


# By the kernel's name of the architecture.
MACHINES = {
    "x86_64": Machine("qemu-system-x86_64", "q35,usb=off,smbus=off,sata=off,vmport=off", "max,la57=off", "ttyS0",
                      "tsc=reliable no_timer_check"),
    # A slot whose port sleeps does not see that something is put into it.
    "arm64": Machine("qemu-system-aarch64", "virt,gic-version=3", "cortex-a72", "ttyAMA0",
                     "pcie_port_pm=off"),
}


def time_stamp_khz() -> int:
    """How fast the processor's time stamp counter runs, in kHz."""
    # rdtsc; shl $32,%rdx; or %rdx,%rax; ret
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))
    count = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))

    def both() -> tuple[int, int]:
        """The counter, and the time between two looks at the clock close to it."""
        looks = [(time.monotonic_ns(), count(), time.monotonic_ns()) for _ in range(8)]
        before, ticks, after = min(looks, key=lambda look: look[2] - look[0])
        return ticks, (before + after) // 2

    first = both()
    time.sleep(0.05)
    last = both()
    return (last[0] - first[0]) * 1_000_000 // (last[1] - first[1])


# What a healthy kernel never says.
BAD_LOG = re.compile(
    r"BUG:|WARNING:|Oops|Call Trace|possible circular locking|possible recursive locking"
    r"|inconsistent lock state|possible irq lock inversion|suspicious RCU usage|refcount_t"
    r"|unregister_netdevice: waiting|general protection|KASAN|UBSAN|KCSAN|kmemleak: \d+ new"
    r"|kernel BUG|Kernel panic|sleeping function called|scheduling while atomic|blocked for more than"
    r"|rcu: INFO:.*stall|soft lockup|hard LOCKUP|kernel NULL pointer|Unable to handle kernel"
    r"|ref_tracker: .*(leaked|users at|released)|ODEBUG:|INFO: trying to register non-static key|panicked at"
    # A check that gave up looks like one that finds nothing.
    r"|memory leak detector disabled|turning off the locking correctness validator|DMA-API: .*disabl"
)


def die(text: str, code: int = 1) -> NoReturn:
    print(f"lab: {text}", file=sys.stderr)
    sys.exit(code)


# Between these, memory is missing on purpose, which the kernel tells with a trace.
NO_MEMORY, MEMORY_AGAIN = "lab: memory is missing on purpose", "lab: memory is there again"


def bad_lines(text: str) -> list[str]:
    bad, on_purpose = [], False
    for line in text.splitlines():
        if NO_MEMORY in line or MEMORY_AGAIN in line:
            on_purpose = NO_MEMORY in line
        elif BAD_LOG.search(line) and not (on_purpose and line.rstrip().endswith("Call Trace:")):
            bad.append(line.strip())
    return bad


# --- frames ------------------------------------------------------------------

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


# --- settings ----------------------------------------------------------------

@dataclass
class Settings:
    name: str = "default"
    chip: str = "mt7986"
    engines: int = 1
    isp: bool = False
    vcpus: int = 1
    memory: str = "512M"
    boot_timeout: int = 90
    vppe_args: list[str] = field(default_factory=list)
    append: str = ""
    switch: str = ""
    programs: list[str] = field(default_factory=list)
    overlay: str = ""
    kernel: dict[str, str] = field(default_factory=dict)

    @property
    def dir(self) -> Path:
        return LABS / self.name

    @property
    def ports(self) -> tuple[str, ...]:
        """Of the router. Without an engine it has those of the first one."""
        return tuple(port for ports in ENGINES[:max(self.engines, 1)] for port in ports)

    @property
    def machine(self) -> Machine:
        return MACHINES[self.kernel["karch"]]

    def megabytes(self, memory: str) -> int:
        """What a guest gets where a stock kernel would do with `memory`."""
        found = re.fullmatch(r"(\d+)([MG])", memory)
        if not found:
            raise LabError(f"--memory {memory}: give a number and M or G, such as 512M")
        return int(found[1]) * {"M": 1, "G": 1024}[found[2]] * int(self.kernel.get("memory_times", 1))


def kernel_paths() -> dict[str, str]:
    """What scripts/kernel-tree said of the kernel; scripts/lab asked it."""
    found = dict(line.split("=", 1) for line in os.environ.get("LAB_KERNEL", "").splitlines() if "=" in line)
    missing = {"release", "vmlinuz", "modules", "kdir", "karch", "cc"} - set(found)
    if missing:
        raise LabError(f"no kernel to boot: scripts/kernel-tree --print does not say {', '.join(sorted(missing))}")
    return found


def not_for_router(programs: Sequence[str]) -> list[str]:
    """Those that only a router of this machine's architecture can have: the tool root
    has few programs of another one (ROUTER in scripts/tool-root)."""
    foreign = Path("/opt") / re.sub(r"-gcc.*", "", kernel_paths()["cc"])
    folders = ("usr/sbin", "usr/bin", "sbin", "bin")
    return [name for name in programs
            if foreign.is_dir() and not any(os.path.lexists(foreign / folder / name) for folder in folders)]


def slow() -> int:
    """How often time limits are to be taken: a kernel with checks needs longer for all it does."""
    return int(kernel_paths().get("slow", 1))


def vppe_program() -> Path:
    override = os.environ.get("LAB_VPPE")
    paths = [Path(override)] if override else [
        TOP / "build/vppe/release/vppe", TOP / "tools/vppe/target/release/vppe"]
    for path in paths:
        if os.access(path, os.X_OK):
            return path
    raise LabError("no engine to run: `make vppe` builds it, --no-engine does without")


def vppe(*args: str) -> Any:
    """What the engine's program answers."""
    done = subprocess.run([vppe_program(), *args], capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise LabError(done.stderr.strip() or f"vppe {args[0]}: status {done.returncode}")
    return json.loads(done.stdout)


def lines_of(tree: Any) -> str:
    """JSON as lines of a dotted key and a value: a shell can read those."""
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


# --- supervisor --------------------------------------------------------------

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

    # The pieces, in the order they are started.

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
        # A chip answers a register at once, whatever else a machine does: a driver
        # may give up one that does not.
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
        """What a host has at the wire of the second engine, by which it reaches what the other one has there."""
        place_tap(f"h-{port}", host, "eth2", HOST_MAC[port])
        add_addresses(host, "eth2", f"{ADDR4[port][1]}/24", f"{ADDR6[port][1]}/64")
        must("ip", "-n", host, "route", "add", f"{ADDR4[other][1]}/32", "via", ADDR4[port][0])
        must("ip", "-n", host, "-6", "route", "add", f"{ADDR6[other][1]}/128", "via", ADDR6[port][0])

    def initramfs(self, name: str, nics: dict[str, str], addresses: Sequence[tuple[str, str]],
                  programs: Sequence[str] = (), overlay: str = "") -> str:
        """Of the guest `name`, with MAC addresses of its ports, addresses, more programs and files."""
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
        """QEMU's words for any guest; mgmt is the TAP of its command channel."""
        s = self.s
        m = s.machine
        size = f"{s.megabytes(memory)}M"
        # On a busy machine the guest would misjudge it, and its clock run at any speed.
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
        """A command among the hosts; ended when whoever asked goes away."""
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 start_new_session=True, cwd=self.hosts, env={**os.environ, **topology()})
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
            # As agent.c: its last words, but not those of a daemon it left.
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
        """What the lab itself can be asked for."""
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
            # Which flows share the engine's place for one.
            return lines_of(vppe("bucket", "--chip", self.s.chip, *args))
        elif verb not in ("down", "ping"):
            raise LabError(f"no such verb: {verb} (unplug [N], plug [N], link PORT up|down, engine [N] CMD…, "
                           "bucket --src A:P --dst A:P, cpu, log, ping, down)")
        return ""

    def router_cpu_ns(self) -> int:
        """Time for which the router's processors ran. An emulated processor that is
        idle sleeps, so its thread's time is right where the router's own accounting,
        which looks once a tick, misses work done in interrupts between two."""
        assert self.qemu
        threads = [cpu["thread-id"] for cpu in json.loads(self.qmp("query-cpus-fast"))]
        return sum(int(Path(f"/proc/{self.qemu.pid}/task/{tid}/schedstat").read_text().split()[0]) for tid in threads)

    # Life.

    def save_dmesg(self) -> None:
        """The serial line can lose the beginning of the log; the ring has it."""
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
        """Until somebody ends the lab or the router ends itself."""
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


# --- client ------------------------------------------------------------------

def read_state(name: str) -> dict[str, Any]:
    try:
        return json.loads((LABS / name / "state").read_text())
    except (OSError, ValueError):
        return {"state": "none", "why": ""}


def is_up(name: str) -> bool:
    """The supervisor holds the lock as long as it lives."""
    path = LABS / name / "lock"
    if not path.exists():
        return False
    with open(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def set_pdeathsig() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def forget_old_runs() -> None:
    """The logs of a few failed runs are worth keeping, not those of all."""
    old = sorted((p.parent for p in LABS.glob("run-*/lock") if not is_up(p.parent.name)),
                 key=lambda p: p.stat().st_mtime)
    for path in old[:-10]:
        shutil.rmtree(path, ignore_errors=True)


def preflight(settings: Settings) -> None:
    if os.geteuid():
        raise LabError("needs root: it makes network namespaces and TAP devices")
    if not os.path.exists("/dev/net/tun"):
        raise LabError("/dev/net/tun is missing: load the module tun")
    tools = f"{settings.machine.program} ip nsenter unshare ethtool sysctl mount depmod busybox nft"
    missing = [t for t in tools.split() if not shutil.which(t)]
    if missing:
        raise LabError(f"not in the tool root: {' '.join(missing)}")
    if settings.engines:
        vppe_program()


class Lab:
    """A lab as seen from outside."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dir = LABS / name
        self.process: subprocess.Popen[bytes] | None = None
        self.log_seen = 0

    def start(self, settings: Settings, keep: bool) -> None:
        """keep: outlive whoever started it."""
        settings.kernel = kernel_paths()
        preflight(settings)
        self.dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.dir / "lock", os.O_CREAT | os.O_RDWR)
        os.set_inheritable(lock, True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LabError(f"the lab {self.name!r} is up already") from None
        for old in ("state", "console.log", "isp.log", "dmesg.log", "sock"):
            (self.dir / old).unlink(missing_ok=True)
        with open(self.dir / "supervisor.log", "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--net", "--pid", "--mount", "--propagation", "private", "--fork", "--kill-child",
                 sys.executable, str(Path(__file__).resolve()), "supervise", json.dumps(asdict(settings))],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[lock], start_new_session=True,
                preexec_fn=None if keep else set_pdeathsig)
        os.close(lock)
        (self.dir / "pid").write_text(str(self.process.pid))
        deadline = time.monotonic() + settings.boot_timeout + 60
        while time.monotonic() < deadline:
            state = read_state(self.name)
            if state["state"] == "ready":
                self.log_seen = 0
                return
            if state["state"] in ("failed", "dead"):
                raise LabError(state["why"])
            if self.process.poll() is not None:
                log = (self.dir / "supervisor.log").read_text(errors="replace").strip()
                raise LabError(f"the lab ended while it was starting: {log or self.process.returncode}")
            time.sleep(0.05)
        self.kill()
        raise LabError("the lab did not start in time")

    def connect(self) -> socket.socket:
        if not is_up(self.name):
            state = read_state(self.name)
            why = f": {state['why']}" if state["state"] == "dead" else ""
            raise LabError(f"the lab {self.name!r} is not up{why}")
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(self.dir / "sock"))
        except OSError:
            raise LabError(f"the lab {self.name!r} does not answer") from None
        return sock

    def call(self, target: str, argv: Sequence[str], *, stdin: bytes | None = None, term: str = "",
             timeout: float | None = None, live: bool = False) -> tuple[int, bytes, bytes]:
        """Runs a command; live: its output goes to ours as it comes."""
        out, err = b"", b""
        deadline = time.monotonic() + timeout if timeout else None
        with self.connect() as sock:
            try:
                send_frame(sock, b"A", request(target, argv, term))
                for at in range(0, len(stdin or b""), 65536):
                    send_frame(sock, b"I", (stdin or b"")[at:at + 65536])
                send_frame(sock, b"I")
            except BrokenPipeError:
                pass  # It has its answer already; what that is comes next.
            while True:
                if deadline:
                    left = deadline - time.monotonic()
                    if left <= 0 or not select.select([sock], [], [], left)[0]:
                        return 124, out, err + f"lab: no end after {timeout:.0f} s\n".encode()
                    sock.settimeout(max(left, 1))
                try:
                    kind, data = recv_frame(sock)
                except OSError:
                    return 125, out, err + b"lab: the lab hung up\n"
                if kind == b"X":
                    return struct.unpack(">I", data)[0], out, err
                if live:
                    stream = sys.stdout if kind == b"O" else sys.stderr
                    stream.buffer.write(data)
                    stream.buffer.flush()
                if kind == b"O":
                    out += data
                elif kind == b"E":
                    err += data

    def check(self, target: str, *argv: str, timeout: float = 60) -> str:
        code, out, err = self.call(target, argv, timeout=timeout)
        if code:
            raise LabError(f"{target}: {' '.join(argv)}: {err.decode(errors='replace').strip() or code}")
        return out.decode(errors="replace")

    def push(self, items: dict[str, Path | bytes]) -> None:
        """Copies files and folders to the named places in the router."""
        buffer = BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for inside, what in items.items():
                if isinstance(what, bytes):
                    info = tarfile.TarInfo(inside.lstrip("/"))
                    info.size, info.mode = len(what), 0o755
                    tar.addfile(info, BytesIO(what))
                else:
                    tar.add(what, inside.lstrip("/"))
        code, _, err = self.call("router", ["tar", "-xf", "-", "-C", "/"], stdin=buffer.getvalue(), timeout=60)
        if code:
            raise LabError(f"cannot copy into the router: {err.decode(errors='replace').strip()}")

    def new_bad_lines(self) -> list[str]:
        """Bad lines of the router's log since the last call."""
        path = self.dir / "console.log"
        if not path.exists():
            return []
        with open(path, "rb") as f:
            f.seek(self.log_seen)
            data = f.read()
        self.log_seen += len(data)
        return bad_lines(data.decode(errors="replace"))

    def settle_log(self) -> None:
        """Until what the router has logged so far stands in the console log."""
        mark = f"lab: mark {time.monotonic_ns()}"
        self.call("router", ["sh", "-c", f"echo '{mark}' >/dev/kmsg"], timeout=20)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if mark in (self.dir / "console.log").read_text(errors="replace"):
                return
            time.sleep(0.02)

    def all_bad_lines(self) -> list[str]:
        text = "".join((self.dir / name).read_text(errors="replace")
                       for name in ("console.log", "dmesg.log") if (self.dir / name).exists())
        return bad_lines(text)

    def leaks(self) -> list[str]:
        """What kmemleak finds in the router: nothing where the kernel has none."""
        code, out, err = self.call("router", [f"{GUEST_TESTS}/lib/leaks"], timeout=60 * slow())
        if code > 1:
            return [f"the search for leaks failed: {err.decode(errors='replace').strip() or code}"]
        return out.decode(errors="replace").splitlines()

    def down(self) -> None:
        if is_up(self.name):
            try:
                self.call("lab", ["down"], timeout=10)
            except LabError:
                pass
        deadline = time.monotonic() + 15
        while is_up(self.name) and time.monotonic() < deadline:
            if self.process:
                self.process.poll()
            time.sleep(0.05)
        if is_up(self.name):
            self.kill()
        if self.process:
            self.process.wait()

    def kill(self) -> None:
        try:
            os.kill(int((self.dir / "pid").read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            pass


def module_file() -> Path | None:
    """The module built for the kernel that is booted, not the last one built."""
    override = os.environ.get("LAB_MODULE")
    path = Path(override) if override else TOP / "build/module" / kernel_paths()["release"] / "nft_offload.ko"
    return path if path.exists() else None


def oracle_file() -> Path | None:
    """The tests' module with the kernel's own driver, for that kernel."""
    path = TOP / "build/oracle" / kernel_paths()["release"] / "nft_offload_oracle.ko"
    return path if path.exists() else None


def packages() -> Path | None:
    """The Debian packages built for that kernel."""
    path = TOP / "build/deb" / kernel_paths()["release"]
    return path if path.exists() else None


def ktap_helpers() -> Path | None:
    """The kernel's own TAP helpers, from the tree the module is built against."""
    path = Path(kernel_paths()["kdir"]) / "tools/testing/selftests/kselftest/ktap_helpers.sh"
    return path if path.exists() else None


def push_tests(lab: Lab) -> None:
    items: dict[str, Path | bytes] = {}
    if (TOP / "selftests").is_dir():
        items[GUEST_TESTS] = TOP / "selftests"
        names = topology() | {"KERNEL_VERSION": kernel_paths().get("debversion", "")}
        items["/etc/lab/topology.sh"] = "".join(f"{k}={v}\n" for k, v in names.items()).encode()
    items["/usr/bin/nft-offload"] = TOP / "tools/nft-offload/nft-offload"
    helpers, module, oracle, debs = ktap_helpers(), module_file(), oracle_file(), packages()
    if helpers:
        items["/root/kselftest/ktap_helpers.sh"] = helpers
    if module:
        items["/root/nft_offload.ko"] = module
    if oracle:
        items[GUEST_ORACLE] = oracle
    if debs:
        items["/root/debs"] = debs
    switch = TOP / "build/switch" / kernel_paths()["release"] / "nft_offload_switch.ko"
    if switch.exists():
        items["/root/nft_offload_switch.ko"] = switch
    if items:
        lab.push(items)


def resolve(name: str) -> Path:
    """in-root keeps the working directory, so names mean what they meant."""
    path = Path(name).absolute()
    if not path.exists():
        raise LabError(f"{name}: no such file in the repository (a script from elsewhere: `scripts/lab run - <FILE`)")
    return path


def guest_command(inside: str) -> list[str]:
    return ["sh", "-c", f'cd {GUEST_TESTS} 2>/dev/null || cd /root; exec "$0"', inside]


def run_scripts(lab: Lab, files: Sequence[str], timeout: float) -> int:
    push_tests(lab)
    worst = 0
    for name in files:
        if name == "-":
            inside = "/root/stdin"
            lab.push({inside: sys.stdin.buffer.read()})
        else:
            path = resolve(name)
            if path.is_relative_to(TOP / "selftests"):
                inside = f"{GUEST_TESTS}/{path.relative_to(TOP / 'selftests')}"
            else:
                inside = f"/root/{path.name}"
                lab.push({inside: path.read_bytes()})
        code, _, err = lab.call("router", guest_command(inside), timeout=timeout, live=True)
        if code in (124, 125):
            sys.stderr.write(err.decode(errors="replace").splitlines()[-1] + "\n")
        worst = worst or code
    return worst


def report_log(lines: list[str]) -> None:
    for line in lines[:20]:
        print(f"# lab: the router's log: {line}", flush=True)


def cmd_up(args: argparse.Namespace) -> int:
    lab = Lab(args.name or "default")
    lab.start(settings_of(args, lab.name), keep=True)
    push_tests(lab)
    state = read_state(lab.name)
    option = f" --name {lab.name}" if lab.name != "default" else ""
    print(f"lab: {lab.name} is up after {state['why']}; scripts/lab shell{option}, exec, run, down; log: build/lab/{lab.name}/console.log")
    return 0


def cmd_run(args: argparse.Namespace) -> int:
    own = args.name is None or not is_up(args.name)
    forget_old_runs()
    lab = Lab(args.name or f"run-{os.getpid()}-{int(time.time())}")
    if own:
        lab.start(settings_of(args, lab.name), keep=False)
    else:
        lab.log_seen = (lab.dir / "console.log").stat().st_size
    try:
        code = run_scripts(lab, args.files, args.timeout)
        if is_up(lab.name):
            lab.settle_log()
        bad = lab.new_bad_lines()
    finally:
        if own:
            lab.down()
    if own:
        bad = list(dict.fromkeys(lab.all_bad_lines())) or bad
        if read_state(lab.name)["state"] == "dead":
            print(f"lab: {read_state(lab.name)['why']}", file=sys.stderr)
            code = code or 1
    report_log(bad)
    if not code and not bad and own and args.name is None:
        shutil.rmtree(lab.dir, ignore_errors=True)
    elif own and args.name is None:
        print(f"lab: logs kept in build/lab/{lab.name}", file=sys.stderr)
    return code or (1 if bad else 0)


def cmd_exec(args: argparse.Namespace) -> int:
    if args.where not in ("router", *PORTS, "isp", "hosts", "vppectl", "qmp", "lab"):
        raise LabError(f"{args.where}: where? router, lan, wan, isp, hosts, vppectl, qmp or lab")
    if not args.argv:
        raise LabError("exec: what?")
    stdin = None if sys.stdin.isatty() else sys.stdin.buffer.read() if args.stdin else None
    code, _, err = Lab(args.name or "default").call(args.where, args.argv, stdin=stdin, live=True,
                                                   timeout=args.timeout or None)
    if code in (124, 125):
        sys.stderr.write(err.decode(errors="replace").splitlines()[-1] + "\n")
    return code


def cmd_shell(args: argparse.Namespace) -> int:
    lab = Lab(args.name or "default")
    if not sys.stdin.isatty():
        raise LabError("shell: standard input is not a terminal; use exec or run")
    size = os.get_terminal_size()
    shell = ["env", f"TERM={os.environ.get('TERM', 'linux')}", "HOME=/root", "PS1=router# ", "bash", "--norc"]
    with lab.connect() as sock:
        argv = shell if args.where == "router" else ["bash", "--norc", "-i"]
        send_frame(sock, b"A", request(args.where, argv, f"{size.lines}x{size.columns}"))
        saved = termios.tcgetattr(0)
        try:
            if args.where == "router":
                tty.setraw(0)
            sources: list[Any] = [0, sock]
            while True:
                ready = select.select(sources, [], [])[0]
                if 0 in ready:
                    typed = os.read(0, 4096)
                    send_frame(sock, b"I", typed)
                    if not typed:
                        sources.remove(0)
                if sock in ready:
                    kind, data = recv_frame(sock)
                    if kind == b"X":
                        return struct.unpack(">I", data)[0]
                    os.write(1, data)
        except ConnectionError:
            raise LabError("the lab hung up") from None
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)


def cmd_down(args: argparse.Namespace) -> int:
    lab = Lab(args.name or "default")
    if not is_up(lab.name):
        print(f"lab: {lab.name} is not up")
        return 0
    lab.down()
    bad = list(dict.fromkeys(lab.all_bad_lines()))
    report_log(bad)
    return 1 if bad else 0


def cmd_status(args: argparse.Namespace) -> int:
    names = [args.name] if args.name else sorted(p.parent.name for p in LABS.glob("*/lock"))
    for name in names:
        state = read_state(name)
        # A killed lab could not say so itself.
        alive = is_up(name)
        word = state["state"] if alive else "down" if state["state"] in ("ready", "starting") else state["state"]
        print(f"{name}: {word}{' (' + state['why'].splitlines()[0] + ')' if state.get('why') else ''}")
    if args.name:
        return 0 if is_up(args.name) else 1
    return 0


def settings_of(args: argparse.Namespace, name: str) -> Settings:
    return Settings(name=name, chip=args.chip, engines=0 if args.no_engine else args.engines, isp=args.isp, vcpus=args.vcpus,
                    memory=args.memory, boot_timeout=args.boot_timeout * slow(), vppe_args=args.vppe_arg, append=args.append,
                    switch=args.switch, programs=args.program, overlay=str(resolve(args.overlay)) if args.overlay else "")


def add_lab_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--chip", default=os.environ.get("CHIP") or Settings.chip, help="chip that the engine emulates (default: %(default)s)")
    parser.add_argument("--no-engine", action="store_true", help="ports go straight to the router, no vppe")
    parser.add_argument("--engines", type=int, default=1, choices=(1, 2),
                        help="2: another one, with ports lan2 and wan2 (default: %(default)s)")
    parser.add_argument("--isp", action="store_true", help="a provider's router between the wan wire and the wan host")
    parser.add_argument("--vcpus", type=int, default=1, help="processors of the router (default: %(default)s)")
    parser.add_argument("--memory", default="512M", help="memory of the router (default: %(default)s)")
    parser.add_argument("--append", default="", help="more for the kernel's command line")
    parser.add_argument("--switch", default="", choices=PORTS, metavar="PORT",
                        help="the engine expects the special tags of a switch at this port")
    parser.add_argument("--program", action="append", default=[], metavar="NAME",
                        help="one more program of the tool root for the router, which may need more --memory")
    parser.add_argument("--overlay", metavar="DIR", help="files of this folder go over those of the router")
    parser.add_argument("--boot-timeout", type=int, default=90, metavar="S", help="default: %(default)s")
    parser.add_argument("--vppe-arg", action="append", default=[], metavar="ARG",
                        help="one more argument for `vppe run`, e.g. --vppe-arg=--board-magic=0")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="scripts/lab", description="A router in QEMU with the emulated engine, between a lan and a wan host.",
        epilog="In the router, `lan CMD…` and `wan CMD…` run CMD on the hosts, `hosts CMD…` beside them, "
               "`vppectl …` asks the engine, `qmp CMD [JSON]` QEMU, `lab unplug|plug [N]|link PORT up|down|engine [N] CMD…|"
               "bucket …` the lab. Logs: build/lab/NAME.")
    top.add_argument("--name", help="which lab (default: `default`; `run` makes a lab of its own)")
    # Also after the command word, where people write it.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        p = sub.add_parser(name, help=text, description=text, parents=[common])
        p.set_defaults(function=function)
        return p

    add_lab_options(command("up", cmd_up, "start a lab and leave it running"))
    p = command("run", cmd_run, "run scripts in the router; in a lab of their own unless --name is one that is up")
    p.add_argument("files", nargs="+", metavar="FILE", help="script in the repository, or - for standard input")
    p.add_argument("--timeout", type=float, default=300, metavar="S", help="for each script (default: %(default)s)")
    add_lab_options(p)
    p = command("exec", cmd_exec, "run one command: exec router|lan|wan|isp|hosts|vppectl|qmp|lab ARG…")
    p.add_argument("-i", dest="stdin", action="store_true", help="pass standard input on")
    p.add_argument("--timeout", type=float, default=0, metavar="S", help="default: none")
    p.add_argument("where", help="router, lan, wan, isp, hosts (outside both), vppectl, qmp or lab")
    p.add_argument("argv", nargs=argparse.REMAINDER, metavar="ARG")
    p = command("shell", cmd_shell, "a shell in the router")
    p.add_argument("where", nargs="?", default="router", choices=("router", *PORTS), help="default: %(default)s")
    command("down", cmd_down, "end a lab; fails if the router's log has a line it must not have")
    command("status", cmd_status, "which labs there are")
    return top


def main() -> int:
    if sys.argv[1:2] == ["supervise"]:
        return Supervisor(Settings(**json.loads(sys.argv[2]))).main()
    args = parser().parse_args()
    try:
        return args.function(args)
    except LabError as e:
        die(str(e))
    except KeyboardInterrupt:
        die("interrupted", 130)


if __name__ == "__main__":
    sys.exit(main())
