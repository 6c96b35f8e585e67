# SPDX-License-Identifier: GPL-2.0-only
"""What a lab is made of: the kernel, the machine that QEMU emulates, what was built, and the
options that choose."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Sequence

from host import LabError
from topology import ENGINES, PORTS, topology

LAB_D = Path(__file__).resolve().parent
SCRIPTS = LAB_D.parent
TOP = SCRIPTS.parent
LABS = TOP / "build" / "lab"


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
    # A sleeping port does not notice that a device is plugged in.
    "arm64": Machine("qemu-system-aarch64", "virt,gic-version=3", "cortex-a72", "ttyAMA0",
                     "pcie_port_pm=off"),
}


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
        """Ports of the router. Without an engine it has the ports of the first one."""
        return tuple(port for ports in ENGINES[:max(self.engines, 1)] for port in ports)

    @property
    def machine(self) -> Machine:
        return MACHINES[self.kernel["karch"]]

    def megabytes(self, memory: str) -> int:
        """Megabytes for a guest that needs `memory` with a stock kernel."""
        found = re.fullmatch(r"(\d+)([MG])", memory)
        if not found:
            raise LabError(f"--memory {memory}: give a number and M or G, such as 512M")
        return int(found[1]) * {"M": 1, "G": 1024}[found[2]] * int(self.kernel.get("memory_times", 1))


def kernel_paths() -> dict[str, str]:
    """The answer of scripts/kernel-tree about the kernel; scripts/lab asked it."""
    found = dict(line.split("=", 1) for line in os.environ.get("LAB_KERNEL", "").splitlines() if "=" in line)
    missing = {"release", "vmlinuz", "modules", "kdir", "karch", "cc"} - set(found)
    if missing:
        raise LabError(f"no kernel to boot: scripts/kernel-tree --print does not say {', '.join(sorted(missing))}")
    return found


def not_for_router(programs: Sequence[str]) -> list[str]:
    """The programs that the tool root does not have for the router's architecture: for another than
    this machine's it has few (ROUTER in scripts/tool-root)."""
    foreign = Path("/opt") / re.sub(r"-gcc.*", "", kernel_paths()["cc"])
    directories = ("usr/sbin", "usr/bin", "sbin", "bin")
    return [name for name in programs
            if foreign.is_dir() and not any(os.path.lexists(foreign / d / name) for d in directories)]


def slow() -> int:
    """The factor for time limits: a kernel with checks takes longer for everything."""
    return int(kernel_paths().get("slow", 1))


def environment() -> dict[str, str]:
    """The variables that tests have, in the router and on the hosts."""
    return {"SELFTESTS_DIR": str(TOP / "selftests"), "SLOW": str(slow())} | topology()


def vppe_program() -> Path:
    override = os.environ.get("LAB_VPPE")
    paths = [Path(override)] if override else [
        TOP / "build/vppe/release/vppe", TOP / "tools/vppe/target/release/vppe"]
    for path in paths:
        if os.access(path, os.X_OK):
            return path
    raise LabError("no engine to run: `make vppe` builds it, --no-engine does without")


def vppe(*args: str) -> Any:
    """The answer of the engine's program."""
    done = subprocess.run([vppe_program(), *args], capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise LabError(done.stderr.strip() or f"vppe {args[0]}: status {done.returncode}")
    return json.loads(done.stdout)


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


def resolve(name: str) -> Path:
    """The path of a file that the user named. in-root keeps the working directory."""
    path = Path(name).absolute()
    if not path.exists():
        raise LabError(f"{name}: no such file in the repository (a script from elsewhere: `scripts/lab run - <FILE`)")
    return path


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
    parser.add_argument("--overlay", metavar="DIR", help="files of this directory go over those of the router")
    parser.add_argument("--boot-timeout", type=int, default=90, metavar="S", help="default: %(default)s")
    parser.add_argument("--vppe-arg", action="append", default=[], metavar="ARG",
                        help="one more argument for `vppe run`, e.g. --vppe-arg=--board-magic=0")


def settings_of(args: argparse.Namespace, name: str) -> Settings:
    return Settings(name=name, chip=args.chip, engines=0 if args.no_engine else args.engines, isp=args.isp, vcpus=args.vcpus,
                    memory=args.memory, boot_timeout=args.boot_timeout * slow(), vppe_args=args.vppe_arg, append=args.append,
                    switch=args.switch, programs=args.program, overlay=str(resolve(args.overlay)) if args.overlay else "")


def lab_options(words: Sequence[str]) -> argparse.Namespace:
    """Options of `scripts/lab up`."""
    parser = argparse.ArgumentParser(add_help=False)
    add_lab_options(parser)
    return parser.parse_args(words)
