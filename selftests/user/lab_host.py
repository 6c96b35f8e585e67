#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# runs: beside the labs
# slow kernels: the lab is the same on all
"""The lab itself: two labs at once, a lab that is killed, exit statuses, refusals.

This test starts and ends labs in the tool root, as a person would.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "scripts/lab.d"))
from tap import Tap  # noqa: E402

LAB = [sys.executable, str(TOP / "scripts/lab.d/lab.py")]
NAMES = [f"run-lab-test-{os.getpid()}-{n}" for n in (1, 2)]


def lab(*args: str, stdin: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LAB, *args], input=stdin, capture_output=True, text=True, timeout=timeout)


def descendants(pid: int) -> list[int]:
    """All processes below pid, by the kernel's own list."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        except (OSError, IndexError):
            continue
    out, todo = [], [pid]
    while todo:
        found = children.get(todo.pop(), [])
        out += found
        todo += found
    return out


def two_at_once() -> None:
    started = [subprocess.Popen([*LAB, "--name", name, "up", "--no-engine"], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True) for name in NAMES]
    said = [p.communicate(timeout=120)[0] for p in started]
    print("".join(f"# {line}\n" for text in said for line in text.splitlines()), end="")
    for name in NAMES:
        lab("--name", name, "exec", "router", "sh", "-c", f"echo {name} >/tmp/me")
    assert all(lab("--name", name, "exec", "router", "cat", "/tmp/me").stdout.strip() == name for name in NAMES)


def second_of_a_name() -> None:
    done = lab("--name", NAMES[0], "up", "--no-engine")
    assert done.returncode == 1 and "is up already" in done.stderr


def statuses() -> None:
    def status(*args: str) -> int:
        return lab("--name", NAMES[0], "exec", *args).returncode

    assert (status("router", "sh", "-c", "exit 7"), status("lan", "sh", "-c", "exit 8"), status("router", "true"),
            status("wan", "no-such-command")) == (7, 8, 0, 127)


def hosts_from_router() -> None:
    done = lab("--name", NAMES[1], "run", "-", stdin="#!/bin/sh\nlan ping -c 1 -W 2 203.0.113.2 && wan sh -c 'exit 9'\n")
    assert done.returncode == 9 and "1 received" in done.stdout


def killed_leaves_nothing() -> None:
    pid = int((TOP / "build/lab" / NAMES[0] / "pid").read_text())
    below = descendants(pid)
    os.kill(pid, signal.SIGKILL)
    for _ in range(100):
        left = [p for p in below if Path(f"/proc/{p}").exists()]
        if not left:
            break
        time.sleep(0.05)
    print(f"# {len(below)} processes, {len(left)} left")
    assert len(below) >= 2 and not left and lab("--name", NAMES[0], "status").returncode == 1


def same_name_again() -> None:
    assert lab("--name", NAMES[0], "up", "--no-engine").returncode == 0


def other_still_there() -> None:
    assert lab("--name", NAMES[1], "exec", "router", "true").returncode == 0


def down() -> None:
    assert all(lab("--name", name, "down").returncode == 0 for name in NAMES)


def boot_failure() -> None:
    """The lab reports a kernel that dies soon, with the last lines of its console."""
    begun = time.monotonic()
    done = lab("--name", NAMES[0], "up", "--no-engine", "--append", "rdinit=/no-such-init init=/no-such-init")
    print(*(f"# {line}" for line in done.stderr.splitlines()[-3:]), sep="\n")
    assert done.returncode == 1 and "panic" in done.stderr and time.monotonic() - begun < 60


def refusals() -> None:
    assert lab("run", "/no/such/file", "--no-engine").returncode == 1 and lab("frobnicate").returncode == 2


TESTS: list[tuple[str, Callable[[], None]]] = [
    ("two labs at once do not collide", two_at_once),
    ("a second lab of the same name is refused", second_of_a_name),
    ("exit statuses come back", statuses),
    ("a script in the router reaches the hosts", hosts_from_router),
    ("a killed lab leaves no process", killed_leaves_nothing),
    ("its name can be used again", same_name_again),
    ("the other lab still runs", other_still_there),
    ("both labs end", down),
    ("a router that does not boot is reported with its console", boot_failure),
    ("wrong arguments are refused", refusals),
]


def main() -> int:
    tap = Tap()
    try:
        for what, test in TESTS:
            tap.point(what, test)
    finally:
        for name in NAMES:
            lab("--name", name, "down")
            subprocess.run(["rm", "-rf", str(TOP / "build/lab" / name)], check=False)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
