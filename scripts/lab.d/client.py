# SPDX-License-Identifier: GPL-2.0-only
"""A lab as seen from outside its namespaces."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import time
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any, Sequence

from channel import recv_frame, request, send_frame
from host import LabError
from klog import bad_lines
from settings import (LAB_D, LABS, TOP, Settings, environment, kernel_paths, ktap_helpers, lab_options, module_file,
                      oracle_file, packages, settings_of, slow, vppe_program)

# Where the lab copies these in the router.
GUEST_TESTS = "/root/selftests"
GUEST_ORACLE = "/root/nft_offload_oracle.ko"


def read_state(name: str) -> dict[str, Any]:
    try:
        return json.loads((LABS / name / "state").read_text())
    except (OSError, ValueError):
        return {"state": "none", "why": ""}


def is_up(name: str) -> bool:
    """The supervisor holds the lock as long as it runs."""
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
    """Removes all logs of failed runs but those of the last ten."""
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
        """keep: the lab goes on when the process that started it ends."""
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
                 sys.executable, str(LAB_D / "supervisor.py"), json.dumps(asdict(settings))],
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

    def boot(self, *options: str) -> Settings:
        """Starts the lab with options of `scripts/lab up`, and copies the tests into the router. The lab
        ends with the process that started it."""
        settings = settings_of(lab_options(options), self.name)
        self.start(settings, keep=False)
        push_tests(self)
        return settings

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
        """Runs a command; live: its output goes to our output at once."""
        out, err = b"", b""
        deadline = time.monotonic() + timeout if timeout else None
        with self.connect() as sock:
            try:
                send_frame(sock, b"A", request(target, argv, term))
                for at in range(0, len(stdin or b""), 65536):
                    send_frame(sock, b"I", (stdin or b"")[at:at + 65536])
                send_frame(sock, b"I")
            except BrokenPipeError:
                pass  # The lab has answered already; the loop below reads the answer.
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
        """Copies files and directories to these paths in the router."""
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
        """Waits until the console log has all that the router has logged so far."""
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
        """The leaks that kmemleak finds in the router; none if the kernel has no kmemleak."""
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


COMMAND: dict[str, Path | bytes] = {"/usr/bin/nft-offload": TOP / "tools/nft-offload/nft-offload",
                                    "/usr/lib/nft-offload": TOP / "tools/nft-offload/lib"}


def push_tests(lab: Lab) -> None:
    items: dict[str, Path | bytes] = {}
    if (TOP / "selftests").is_dir():
        items[GUEST_TESTS] = TOP / "selftests"
        names = environment() | {"KERNEL_VERSION": kernel_paths().get("debversion", "")}
        items["/etc/lab/topology.sh"] = "".join(f"{k}={v}\n" for k, v in names.items()).encode()
    items |= COMMAND
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


def guest_command(inside: str) -> list[str]:
    return ["sh", "-c", f'cd {GUEST_TESTS} 2>/dev/null || cd /root; exec "$0"', inside]
