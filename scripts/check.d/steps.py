#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Runs the steps that scripts/check names, side by side, and adds up what they say.

usage: steps.py RECORDS FILES-DIGEST [--again] [-j N] <STEPS

STEPS are words that end in NUL: stage, name, kind, needs, the command, and an empty word.
Steps of a stage begin when those of all stages before have ended. `kind` says how the
output counts: plain (the exit status is the one test), cargo (libtest's summaries), tap
(TAP lines), labs (those of scripts/selftests). `needs` is the name of a room, which one
step at a time has, or `all`: the step keeps every processor busy.

RECORDS keeps what the last run of each step on the same files left:
  tree           the digest of these files
  NAME.log       what the step printed
  NAME.json      its command and, when it has ended, its result
  NAME.passed    the selftests that passed in runs before the last
  times.json     seconds of each step and each selftest
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

# A selftest's line in the output of scripts/selftests.
SELFTEST = re.compile(r"^(ok|not ok) \d+ selftests: (\w+(?: \(\w+\))?) # (?:\d+ points, ([\d.]+) s|SKIP .*)$")
SILENCE = 60  # Seconds after which a person wants to know what is going on.


@dataclass
class Step:
    stage: int
    name: str
    kind: str
    needs: str
    command: list[str]


@dataclass
class Result:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    earlier: int = 0    # of `passed`, those that an earlier run saw

    def add(self, other: "Result") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.earlier += other.earlier


def read_steps(stream: IO[bytes]) -> list[Step]:
    steps, words = [], []
    for word in stream.read().decode().split("\0")[:-1]:
        if word:
            words.append(word)
            continue
        stage, name, kind, needs, *command = words
        steps.append(Step(int(stage), name, kind, needs, command))
        words = []
    return steps


# --- what a step has printed -------------------------------------------------------------

def count(kind: str, text: str, status: int) -> Result:
    result = Result()
    if kind == "plain":
        result.passed, result.failed = (0, 1) if status else (1, 0)
    elif kind == "cargo":
        for words in re.findall(r"^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored", text, re.M):
            result.add(Result(*map(int, words)))
    else:
        # Subtests are indented or commented in TAP and do not count.
        for word, rest in re.findall(r"^(ok|not ok) (.*)$", text, re.M):
            if re.search(r"# *(SKIP|TODO)", rest, re.I):
                result.skipped += 1
            elif word == "ok":
                result.passed += 1
            else:
                result.failed += 1
    # It died, did not compile, or did not get to its tests: that is a failure even when
    # every test that ran was good.
    if status and not result.failed:
        result.failed = 1
    return result


def explain_tap(lines: list[str]) -> list[str]:
    """Failed points with what each says of why, and the end of a test that did not come to one."""
    shown: list[str] = []
    block: list[str] = []   # lines of the test at hand
    why: list[str] = []     # those that explain
    left = 0                # lines that may still belong to a failed point
    into = why
    for line in lines:
        top = re.match(r"(not )?ok ", line)
        if re.match(r"(# *)*((not )?ok |TAP version)", line):
            left = 20 if re.match(r"(# *)*not ok ", line) else 0
        if top:
            if left:
                shown += (why or block[-12:]) + [line]
            block, why = [], []
            into = shown
            continue
        block.append(line)
        if re.match(r"# *not ok ", line):
            into = why
        if not line.startswith("#"):
            continue
        if left > 0 or (why and re.match(r"# \w+( \(\w+\))?: ", line)):
            into.append(line)
            left -= 1
    return shown[:100]


def explain(kind: str, text: str) -> list[str]:
    """The lines that say why a step failed."""
    lines = text.splitlines()
    if kind in ("tap", "labs") and any(line.startswith("not ok ") for line in lines):
        return explain_tap(lines)
    shown = []
    if kind == "cargo":
        shown = [line for line in lines if re.match(r"test .* FAILED|error(\[|:)|---- ", line)][:20]
    # Its own sum is not to be taken for ours.
    return shown + [line for line in lines[-20:] if not re.match(r"\d+ passed, ", line)]


# --- running ------------------------------------------------------------------------------

class Runner:
    def __init__(self, steps: list[Step], records: Path, again: bool, jobs: int) -> None:
        self.steps, self.records, self.again, self.jobs = steps, records, again, jobs
        self.running: dict[str, tuple[Step, subprocess.Popen[bytes], float]] = {}
        self.events: "queue.Queue[tuple[str, str]]" = queue.Queue()
        self.results: dict[str, Result] = {}
        self.ended, self.begun = 0, time.monotonic()

    def record(self, step: Step, suffix: str) -> Path:
        return self.records / f"{step.name}.{suffix}"

    def say(self, text: str) -> None:
        print(text, flush=True)

    def free(self, step: Step) -> bool:
        """May it begin beside what runs?"""
        others = [s for s, _, _ in self.running.values()]
        if len(others) >= self.jobs or any(s.needs == "all" for s in others):
            return False
        return not others if step.needs == "all" else all(s.needs != step.needs for s in others)

    def start(self, step: Step) -> None:
        log = self.record(step, "log")
        command = list(step.command)
        if step.kind == "labs":
            for name in self.earlier(step):
                command += ["--without", name]
        self.save(step, None)
        # A session of its own, so that all of it can be ended.
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        self.running[step.name] = (step, child, time.monotonic())
        threading.Thread(target=self.listen, args=(step, child, log), daemon=True).start()

    def listen(self, step: Step, child: "subprocess.Popen[bytes]", log: Path) -> None:
        assert child.stdout
        with open(log, "wb") as out:
            for line in child.stdout:
                out.write(line)
                out.flush()
                # Slow tests: each one shows as it ends.
                if step.kind == "labs" and re.match(rb"(not )?ok ", line):
                    self.events.put((step.name, line.decode(errors="replace").rstrip()))
        child.wait()
        self.events.put((step.name, ""))

    def earlier(self, step: Step) -> list[str]:
        """The selftests of a step that passed in runs before this one."""
        known, result = self.load(step)
        if not self.again or not known:
            self.record(step, "passed").unlink(missing_ok=True)
            return []
        passed: list[str] = []
        if self.record(step, "passed").exists():
            passed = self.record(step, "passed").read_text().splitlines()
        if self.record(step, "log").exists():
            found = [m for m in map(SELFTEST.match, self.record(step, "log").read_text(errors="replace").splitlines()) if m]
            # What failed may have been no single test, and then may be any of them.
            if not result or not result.failed or any(m[1] == "not ok" for m in found):
                passed += [m[2] for m in found if m[1] == "ok" and m[3]]
        self.record(step, "passed").write_text("".join(f"{name}\n" for name in passed))
        return passed

    def save(self, step: Step, result: Result | None) -> None:
        self.record(step, "json").write_text(json.dumps(
            {"command": step.command, "result": asdict(result) if result else None}))

    def load(self, step: Step) -> "tuple[bool, Result | None]":
        """Did this very step run before? And its result, if it came to an end."""
        try:
            found = json.loads(self.record(step, "json").read_text())
        except (OSError, ValueError):
            return False, None
        if found["command"] != step.command:
            return False, None
        return True, Result(**found["result"]) if found["result"] else None

    def end(self, name: str) -> None:
        step, child, since = self.running.pop(name)
        text = self.record(step, "log").read_text(errors="replace")
        result = count(step.kind, text, child.returncode)
        if not child.returncode and not (result.passed + result.failed + result.skipped):
            result.failed = 1
            text += "it ran no test\n"
        if step.kind == "labs" and self.record(step, "passed").exists():
            result.earlier = len(self.record(step, "passed").read_text().splitlines())
            result.passed += result.earlier
        result.seconds = round(time.monotonic() - since, 1)
        self.save(step, result)
        self.results[name] = result
        self.ended += 1
        label = f"[{self.ended:2}/{len(self.steps)}] {name}"
        if result.failed:
            self.say(f"{label}: FAILED ({result.seconds:.0f} s; {self.record(step, 'log')})")
            for line in explain(step.kind, text):
                self.say(f"    {line}")
        elif step.kind == "plain":
            self.say(f"{label}: ok ({result.seconds:.0f} s)")
        else:
            self.say(f"{label}: ok, {result.passed} passed, {result.skipped} skipped ({result.seconds:.0f} s)")
            for line in re.findall(r"^test (.* \.\.\. ignored.*)$", text, re.M) if step.kind == "cargo" else []:
                self.say(f"    skipped: {line}")

    def stop(self) -> None:
        for sig in (signal.SIGTERM, signal.SIGKILL):
            for _, child, _ in self.running.values():
                try:
                    os.killpg(child.pid, sig)
                except ProcessLookupError:
                    pass
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline and any(c.poll() is None for _, c, _ in self.running.values()):
                time.sleep(0.05)

    def run(self) -> Result:
        waiting = list(self.steps)
        for step in self.steps if self.again else []:
            _, before = self.load(step)
            if before and not before.failed:
                before.earlier = before.passed
                self.results[step.name] = before
                waiting.remove(step)
                self.ended += 1
        if self.ended:
            self.say(f"{self.ended} of {len(self.steps)} steps passed the last time on the same files")
        while waiting or self.running:
            stage = min(s.stage for s in [*waiting, *(s for s, _, _ in self.running.values())])
            for step in [s for s in waiting if s.stage == stage]:
                if self.free(step):
                    waiting.remove(step)
                    self.start(step)
            try:
                name, line = self.events.get(timeout=SILENCE)
            except queue.Empty:
                now = time.monotonic()
                self.say("    running: " + ", ".join(f"{n} ({now - since:.0f} s)" for n, (_, _, since) in self.running.items()))
                continue
            if line:
                several = len(self.running) > 1
                self.say(f"    {name + ': ' if several else ''}{line}")
            else:
                self.end(name)
        return self.finish()

    def finish(self) -> Result:
        total = Result(seconds=round(time.monotonic() - self.begun, 1))
        tests = []
        for step in self.steps:
            total.add(self.results[step.name])
            if step.kind == "labs":
                for m in map(SELFTEST.match, self.record(step, "log").read_text(errors="replace").splitlines()):
                    if m and m[3]:
                        tests.append({"step": step.name, "name": m[2], "seconds": float(m[3])})
        (self.records / "times.json").write_text(json.dumps({
            "seconds": total.seconds, "processors": os.cpu_count(), "again": self.again,
            "steps": [{"name": s.name, "seconds": self.results[s.name].seconds} for s in self.steps],
            "selftests": tests}, indent=1) + "\n")
        return total


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("records", type=Path)
    parser.add_argument("digest")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    steps = read_steps(sys.stdin.buffer)

    args.records.mkdir(parents=True, exist_ok=True)
    # One for all runs in the tree: they build in the same directories.
    lock = open(args.records.parent / "check.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("check: another run is at work in this tree: waiting for it", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
    tree = args.records / "tree"
    if not tree.exists() or tree.read_text() != args.digest:
        if args.again:
            print("check: the files are not those of the last run: all steps run", file=sys.stderr)
        for old in args.records.iterdir():
            if old.suffix in (".log", ".json", ".passed"):
                old.unlink()
        tree.write_text(args.digest)

    runner = Runner(steps, args.records, args.again, args.jobs)

    def interrupted(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        runner.stop()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    total = runner.run()
    if total.failed:
        print("failed: " + ", ".join(s.name for s in steps if runner.results[s.name].failed))
        print(f"logs: {args.records}/; AGAIN=1 runs only what did not pass")
    if total.earlier:
        print(f"{total.earlier} of these points passed in an earlier run on the same files")
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
