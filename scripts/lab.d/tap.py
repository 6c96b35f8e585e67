# SPDX-License-Identifier: GPL-2.0-only
"""TAP, the output of tests, for tests in Python."""

from __future__ import annotations

from typing import Any, Callable


class Tap:
    """Points of a test that goes on after a failed point. The plan comes at the end."""

    def __init__(self) -> None:
        self.number, self.failed = 0, 0
        print("TAP version 13", flush=True)

    def result(self, good: bool, name: str, why: str = "") -> None:
        self.number += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.number} {name}", flush=True)
        for line in () if good else why.splitlines()[:40]:
            print(f"#   {line}", flush=True)

    def point(self, name: str, test: Callable[[], Any]) -> None:
        """The point fails if the test raises an exception."""
        good, why = True, ""
        try:
            test()
        except AssertionError as e:
            good, why = False, str(e) or "an assertion without words"
        except Exception as e:  # pylint: disable=broad-except
            good, why = False, f"{type(e).__name__}: {e}"
        self.result(good, name, why)

    def skip(self, name: str, why: str) -> None:
        self.number += 1
        print(f"ok {self.number} {name} # SKIP {why}", flush=True)

    def end(self) -> int:
        print(f"1..{self.number}", flush=True)
        return 1 if self.failed else 0
