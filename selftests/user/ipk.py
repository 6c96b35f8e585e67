#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# runs: beside the labs
# check-all: only
# slow kernels: there are no packages for the kernel with checks
"""The packages for OpenWrt on a router that looks like OpenWrt.

OpenWrt's images are not available here. So the router is the lab's, with the kernel's modules
in one directory, /lib/modules/RELEASE, with lists in /etc/modules.d, and with stand-ins for the
programs that packages call (openwrt/tests/root). The test installs the packages into it as the
image builder does, and boots it. Then it runs the demo's pass with hardware, removes and
installs the packages (ipk/router.sh), and types what Documentation/guide/install-openwrt.md
tells people to type on the router, word for word.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "scripts/lab.d"), str(TOP / "selftests/user")]
import demo as demolib  # noqa: E402
import guide as guidelib  # noqa: E402
from client import GUEST_TESTS, Lab, guest_command  # noqa: E402
from host import LabError  # noqa: E402
from settings import kernel_paths  # noqa: E402
from tap import Tap  # noqa: E402

PAGE = TOP / "Documentation/guide/install-openwrt.md"
STAND_INS = TOP / "openwrt/tests/root"
# The modules that OpenWrt's own packages kmod-nf-flow and kmod-nft-offload load.
OPENWRT_LOADS = {"nf-flow": ["nf_flow_table"], "nft-offload": ["nf_flow_table_inet", "nft_flow_offload"]}
INNER_POINTS = int(re.search(r"CASE_POINTS \+ (\d+)", (TOP / "selftests/user/ipk/router.sh").read_text()).group(1)) + 10  # type: ignore[union-attr]


def packages(release: str) -> list[Path]:
    """The newest of each, for that kernel."""
    version = re.split(r"[+-]", release)[0]
    arch = {"x86_64": "x86_64", "arm64": "aarch64_*"}[kernel_paths()["karch"]]
    found = []
    for pattern in (f"kmod-nft-offload-ppe_{version}.*_{arch}.ipk", "nft-offload_*_all.ipk"):
        files = sorted((TOP / "build/ipk").glob(pattern), key=lambda p: p.stat().st_mtime)
        if not files:
            raise LabError(f"no build/ipk/{pattern}: `make ipk` builds it")
        found.append(files[-1])
    return found


def flat_modules(root: Path, release: str) -> None:
    """The kernel's modules of the lists, and the modules that they need, where OpenWrt has them."""
    modules = Path(kernel_paths()["modules"])
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path.rsplit("/", 1)[-1].split(".ko")[0].replace("-", "_")] = [path, *rest.split()]
    directory = root / "lib/modules" / release
    directory.mkdir(parents=True)
    (root / "etc/modules.d").mkdir(parents=True)
    for name, loads in OPENWRT_LOADS.items():
        (root / "etc/modules.d" / name).write_text("".join(f"{module}\n" for module in loads))
        for path in {p for module in loads for p in needs[module]}:
            plain = directory / (path.rsplit("/", 1)[-1].split(".ko")[0] + ".ko")
            tool = {".xz": "xz", ".zst": "zstd"}.get(Path(path).suffix)
            data = (modules / path).read_bytes()
            plain.write_bytes(subprocess.run([tool, "-dc"], input=data, capture_output=True, check=True).stdout if tool else data)


def image(root: Path, release: str, files: list[Path]) -> subprocess.CompletedProcess[str]:
    """Creates the root and installs the packages as the image builder does."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(STAND_INS, root)
    flat_modules(root, release)
    config = kernel_paths()["config"]
    vermagic = subprocess.run([TOP / "scripts/ipk", "--vermagic-of", config], capture_output=True, text=True, check=True)
    status = root / "usr/lib/opkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(f"Package: kernel\nVersion: {re.split(r'[+-]', release)[0]}~{vermagic.stdout.strip()}-r1\n")
    shutil.copy(status, status.with_suffix(".good"))
    return subprocess.run([root / "bin/opkg", "-o", root, "install", *files], capture_output=True, text=True)


def run_inner(points: Tap, lab: Lab) -> None:
    _, out, err = lab.call("router", guest_command(f"{GUEST_TESTS}/user/ipk/router.sh"), timeout=240)
    lines = out.decode(errors="replace").splitlines()
    seen = 0
    for at, line in enumerate(lines):
        found = re.match(r"(not ok|ok) \d+ (.*)$", line)
        if found:
            seen += 1
            why = []
            for more in lines[at + 1:]:
                if not more.startswith("#"):
                    break
                why.append(more.lstrip("# "))
            points.result(found.group(1) == "ok", found.group(2), "\n".join(why))
    if seen != INNER_POINTS:
        raise LabError(f"router.sh: {seen} points of {INNER_POINTS}: {err.decode(errors='replace').strip()}")


def run(points: Tap, lab: Lab, release: str, files: list[Path], blocks: list[guidelib.Block]) -> None:
    root = lab.dir / "image"
    root.parent.mkdir(parents=True, exist_ok=True)
    done = image(root, release, files)
    points.result(done.returncode == 0, "the packages are installed into an image", done.stdout + done.stderr)
    points.result(not (root / "tmp/firewall.log").exists(), "no script touches the machine that builds the image")

    lab.boot("--chip", "mt7986", "--overlay", str(root))
    # From now on only the packages' module can be loaded.
    lab.check("router", "sh", "-c", "rm -f /root/*.ko")
    lab.push({f"/tmp/{file.name}": file for file in files})

    demo = demolib.Demo(lab, 2, module="")
    # A line of the demo is a comment in TAP.
    demo.say = lambda text: print(f"# {text}", flush=True)  # type: ignore[method-assign]
    demo.prepare()
    result, account = demo.run_pass("hardware")
    points.result(result.router_frames * 100 < result.wire_frames, "the demo's pass with hardware: under 1 % of the frames reach the router",
                  f"{result.router_frames} of {result.wire_frames}")
    points.result((account.conntrack_bytes, account.conntrack_packets) == (account.wire_bytes, account.wire_packets),
                  "the demo's pass with hardware: conntrack counts what the wire carries", str(account))
    points.result(demo.flow_counts()["bound"] > 0, "the demo's pass with hardware: flows were bound")
    lab.check("router", "sh", "-c", "nft flush ruleset; conntrack -F 2>/dev/null")

    run_inner(points, lab)

    page = guidelib.Guide(lab)
    lab.check("router", "sh", "-c", "opkg remove nft-offload")
    for block in blocks:
        code, output = page.once(block)
        good = not code and (block.prints is None or guidelib.matches(block.prints, output))
        points.result(good, block.name, f"status {code}; it printed:\n{output}")
    lab.settle_log()
    bad = lab.new_bad_lines()
    points.result(not bad, "the router's log is clean", "\n".join(bad))


def main() -> int:
    release = kernel_paths()["release"]
    try:
        files = packages(release)
    except LabError as e:
        print(f"TAP version 13\n1..1\nok 1 {e} # SKIP")
        return 0
    blocks = [b for b in guidelib.read(PAGE)[0] if b.kind == "sh image"]
    points = Tap()
    lab = Lab(f"run-ipk-{os.getpid()}")
    try:
        run(points, lab, release, files, blocks)
    except LabError as e:
        print(f"Bail out! {e}".replace("\n", " "), flush=True)
        points.failed += 1
    finally:
        lab.down()
        if not points.failed:
            shutil.rmtree(lab.dir, ignore_errors=True)
    return points.end()


if __name__ == "__main__":
    sys.exit(main())
