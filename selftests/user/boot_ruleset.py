#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# runs: beside the labs
# slow kernels: the order of two files is the same on all
"""The firewall of the guide is in force without module and engine, and offloads with both.

The test puts the two files of nft.md where that page says. It runs the commands of Debian's
nftables.service and of the package's nft-offload.service in the order of a boot: on a router
without module and engine, with the module alone, and with both. A server behind the router
shows whether the firewall lets new connections in from the wan.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Callable

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "scripts/lab.d"), str(TOP / "selftests/user")]
from client import Lab  # noqa: E402
from host import LabError  # noqa: E402
from settings import kernel_paths, module_file, slow  # noqa: E402
from tap import Tap  # noqa: E402
import guide  # noqa: E402

# Debian's, if it is not there: as in version 1.1.3.
FIREWALL = Path("/usr/lib/systemd/system/nftables.service")
OFFLOAD = TOP / "debian/nft-offload.service"
PORT = 5202
HOSTS = {"lan": "2001:db8:1::2", "wan": "2001:db8:2::2"}


def commands(unit: Path, *keys: str) -> list[tuple[bool, list[str]]]:
    """The commands of a unit, each with whether it may fail."""
    if not unit.exists():
        return [(False, ["/usr/sbin/nft", "-f", "/etc/nftables.conf"])]
    lines = [line.partition("=") for line in unit.read_text().splitlines()]
    found = [value for key in keys for name, _, value in lines if name == key]
    return [(value.startswith("-"), shlex.split(value.lstrip("-"))) for value in found]


class Router:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def run(self, *argv: str, where: str = "router") -> tuple[bool, str]:
        code, out, err = self.lab.call(where, argv, timeout=60)
        return not code, (out + err).decode(errors="replace")

    def sh(self, script: str, where: str = "router") -> tuple[bool, str]:
        return self.run("bash", "-c", script, where=where)

    def unit(self, unit: Path, *keys: str) -> bool:
        """As systemd does: the first command that fails ends it."""
        for may_fail, argv in commands(unit, *keys):
            good, said = self.run(Path(argv[0]).name, *argv[1:])
            print("".join(f"#   {' '.join(argv)}: {line}\n" for line in said.splitlines()[:3]), end="")
            if not good and not may_fail:
                return False
        return True

    def start(self, unit: Path) -> bool:
        return self.unit(unit, "ExecStartPre", "ExecStart")

    def reload(self, unit: Path) -> bool:
        return self.unit(unit, "ExecReload")

    def files(self) -> None:
        """What the guide says."""
        blocks = [b for b in guide.read(TOP / "Documentation/guide/nft.md")[0] if b.kind == "nft"]
        self.lab.push({b.file or "/etc/nftables.conf": b.text.encode() for b in blocks})

    def module(self) -> None:
        file = module_file()
        if not file:
            raise LabError("no nft_offload.ko for this kernel: `make modules` builds it")
        self.lab.push({f"/usr/lib/modules/{kernel_paths()['release']}/updates/nft_offload.ko": file})
        self.lab.check("router", "depmod", "-a")

    def servers(self) -> None:
        for host in HOSTS:
            self.sh(f"setsid socat TCP6-LISTEN:{PORT},reuseaddr,fork SYSTEM:'echo hello' "
                    ">/dev/null 2>&1 </dev/null &", where=host)
        time.sleep(1)

    def reaches(self, client: str, server: str) -> bool:
        script = f"timeout 3 socat -u TCP6:[{HOSTS[server]}]:{PORT} - | grep -qx hello"
        return self.sh(script, where=client)[0]

    def closed(self) -> bool:
        """The lan reaches the wan, and the wan does not reach the lan."""
        drops = [f"nft list chain inet filter {chain} | grep -q 'policy drop'" for chain in ("forward", "input")]
        return all([self.sh(" && ".join(drops))[0], self.reaches("lan", "wan"), not self.reaches("wan", "lan")])

    def ruleset(self) -> str:
        return self.lab.check("router", "nft", "-s", "list", "ruleset")

    def offloaded(self) -> bool:
        """Within seconds, a connection of the lan that sends all the time.

        conntrack's HW_OFFLOAD does not tell: where one flowtable replaces another, the kernel
        ends the old flow after it has offered the new one, and takes the mark of the connection
        away."""
        deadline = time.monotonic() + 30 * slow()
        while time.monotonic() < deadline:
            if self.sh("grep -q 'BND.*->203.0.113.2:5201 ' /sys/kernel/debug/nft_offload/*/bind")[0]:
                return True
            time.sleep(0.25)
        return False

    def log_clean(self) -> bool:
        self.lab.settle_log()
        bad = self.lab.new_bad_lines()
        print("".join(f"#   {line}\n" for line in bad), end="")
        return not bad


def harmless(router: Router) -> bool:
    """The unit fails and changes nothing."""
    before = router.ruleset()
    return not router.start(OFFLOAD) and "flowtable" not in before and router.ruleset() == before


def without(router: Router) -> list[tuple[str, Callable[[], bool]]]:
    def module_alone() -> bool:
        router.module()
        return harmless(router) and router.sh("grep -q '^nft_offload ' /proc/modules")[0] and router.closed()

    return [
        ("without any ruleset the wan reaches the lan", lambda: router.reaches("wan", "lan")),
        ("without module and engine nftables.service succeeds", lambda: router.start(FIREWALL)),
        ("policy drop is in force", router.closed),
        ("nft-offload.service fails and changes nothing", lambda: harmless(router)),
        ("policy drop is still in force", router.closed),
        ("with the module and no engine it fails and changes nothing", module_alone),
        ("the router's log is clean", router.log_clean),
    ]


def with_both(router: Router) -> list[tuple[str, Callable[[], bool]]]:
    def connection() -> bool:
        router.sh("iperf3 -s -D", where="wan")
        time.sleep(1)
        router.sh("setsid iperf3 -c 203.0.113.2 -t 120 >/dev/null 2>&1 </dev/null &", where="lan")
        return router.offloaded()

    def again() -> bool:
        before = router.ruleset()
        if not router.reload(OFFLOAD):
            return False
        after = router.ruleset()
        print("".join(f"#   {line}\n" for line in difflib.unified_diff(before.splitlines(), after.splitlines(),
                                                                     lineterm="")), end="")
        return after == before and router.offloaded()

    def firewall_again() -> bool:
        return (router.reload(FIREWALL) and router.closed() and "flowtable" not in router.ruleset()
                and router.reload(OFFLOAD) and router.offloaded())

    def exceptions() -> bool:
        """Every rule that policy.md adds by hand."""
        rules = [line for b in guide.read(TOP / "Documentation/guide/policy.md")[0] if b.kind == "sh"
                 for line in b.text.splitlines() if line.startswith("nft insert rule")]
        return len(rules) >= 4 and all(router.sh(rule)[0] for rule in rules) and router.closed()

    def removed() -> bool:
        """The packages' removal unloads the module, by debian/unload.in."""
        unload = re.search(r"^unload\(\) \{\n.*?^\}", (TOP / "debian/unload.in").read_text(), re.M | re.S)
        return bool(unload) and router.sh(f"{unload[0]}\nunload")[0] and router.closed()

    return [
        ("with module and engine nftables.service succeeds", lambda: router.start(FIREWALL)),
        ("nft-offload.service succeeds", lambda: router.start(OFFLOAD)),
        ("policy drop is in force with it", router.closed),
        ("a connection is offloaded", connection),
        ("the second file loaded again changes nothing", again),
        ("the firewall loaded again is closed, and the second file offloads again", firewall_again),
        ("the exceptions of policy.md let no new connection in", exceptions),
        ("policy drop is in force when the package is gone", removed),
        ("the router's log is clean", router.log_clean),
    ]


def main() -> int:
    tap = Tap()
    for tests, options in ((without, ("--no-engine",)), (with_both, ())):
        lab = Lab(f"run-boot-{os.getpid()}-{tests.__name__}")
        failed = tap.failed
        try:
            lab.boot(*options)
            router = Router(lab)
            lab.check("router", "modprobe", "-a", "nf_conntrack", "nf_flow_table")
            router.files()
            router.servers()
            if tests is with_both:
                router.module()
            for what, test in tests(router):
                tap.result(test(), what)
        except LabError as e:
            print(f"Bail out! {e}".replace("\n", " "), flush=True)
            return 1
        finally:
            lab.down()
        if tap.failed == failed:
            shutil.rmtree(lab.dir, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
