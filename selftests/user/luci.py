#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# runs: beside the labs
# check-all: only
# slow kernels: a page in a browser, of files that other tests read
"""The LuCI page of a router with real flows, in a browser.

The test starts a lab, in which scene.sh of the page's tests keeps the hosts busy, and runs the
tests for such a router (openwrt/luci-app-nft-offload/tests/run --live).

`selftests/user/luci.py --picture FILE` keeps a picture of the page, after five minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "scripts/lab.d"))
from client import GUEST_TESTS, Lab  # noqa: E402
from host import LabError  # noqa: E402

TESTS = TOP / "openwrt/luci-app-nft-offload/tests"
SCENE = f"{GUEST_TESTS}/user/luci_scene.sh"


def main() -> int:
    lab, code = Lab(f"run-luci-{os.getpid()}"), 1
    said: list[bytes] = []
    try:
        # This chip counts flows, which not every chip does.
        lab.boot("--chip", "mt7986")
        lab.push({SCENE: TESTS / "scene.sh"})
        scene = threading.Thread(target=lambda: said.extend(lab.call("router", ["bash", SCENE])[1:]), daemon=True)
        scene.start()
        deadline = time.monotonic() + 60
        while lab.call("router", ["test", "-e", "/tmp/luci.ready"])[0]:
            if not scene.is_alive() or time.monotonic() > deadline:
                raise LabError("the hosts have no traffic: " + b"".join(said).decode(errors="replace"))
            time.sleep(0.5)
        code = subprocess.run([TESTS / "run", "--live", lab.name, *sys.argv[1:]]).returncode
        lab.settle_log()
        bad = lab.new_bad_lines()
        if bad:
            raise LabError(f"the router's log: {bad[0]}")
    except LabError as e:
        print(f"Bail out! {e}".replace("\n", " "), flush=True)
        code = 1
    finally:
        lab.down()
        if not code:
            shutil.rmtree(lab.dir, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
