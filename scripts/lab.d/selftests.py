# SPDX-License-Identifier: GPL-2.0-only
"""Runs the selftests in labs and merges their TAP.

Tests share a lab, one after the other. A line in a test asks for a lab of its own, with
options of `scripts/lab up` if the test needs any:

    # lab: own [OPTION…]

`make check` has to be quick. This line leaves something to `make check-all`: the whole test
(`only`), or its long form, with variables and a time limit in seconds:

    # check-all: only
    # check-all: NAME=VALUE… timeout=SECONDS

A test marked `# chips: all` also runs on every other chip, each in a lab of its own, unless
the caller chooses a chip. On a slow kernel it runs on one chip for each layout of the entries.

Programs marked `# runs: beside the labs` run outside of a router, and start labs themselves.

A slow kernel is one with checks. A test that would show nothing new there, or cannot run, has
a line with the reason, and is skipped: `# slow kernels: REASON`.

The oracle (Documentation/testing.md) listens in every lab except that of a test marked
`# oracle: none`. It has a point of its own at the end.

After each test the runner checks the router's log; a line that a healthy kernel never writes
fails the test. `# log: bad` reverses that, for the test of this check.

On a kernel with kmemleak each lab ends with a search for leaks, when no test has the
module loaded any more.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Iterable, Iterator

from client import GUEST_ORACLE, GUEST_TESTS, Lab, forget_old_runs, guest_command, is_up, read_state
from host import LabError
from settings import TOP, kernel_paths, lab_options, not_for_router, oracle_file, slow
from topology import PORTS

TESTS = TOP / "selftests"
UNENDED = "did not end in time"


@dataclass
class Test:
    path: Path
    own: bool = False
    options: tuple[str, ...] = ()
    bad_log: bool = False
    outside: bool = False
    all_chips: bool = False
    oracle: bool = True
    not_slow: str = ""
    # For `make check-all` only: the whole test, or a form with these variables and time limit.
    only_all: bool = False
    long: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    timeout: float = 0
    chip: str = ""

    @property
    def name(self) -> str:
        return f"{self.path.stem} ({self.chip})" if self.chip else self.path.stem

    @property
    def apart(self) -> bool:
        """Not in the shared lab."""
        return self.own or self.outside or bool(self.not_slow)

    @staticmethod
    def read(path: Path) -> "Test":
        text = path.read_text()
        test = Test(path, bad_log="\n# log: bad" in text, outside="\n# runs: beside the labs" in text,
                    all_chips="\n# chips: all" in text, oracle="\n# oracle: none" not in text)
        found = re.search(r"^# lab: own\b(.*)$", text, re.M)
        if found:
            test.own, test.options = True, tuple(shlex.split(found.group(1)))
        found = re.search(r"^# slow kernels: (.+)$", text, re.M)
        test.not_slow = found.group(1) if found else ""
        found = re.search(r"^# check-all: (.+)$", text, re.M)
        words = found.group(1).split() if found else []
        test.only_all = words == ["only"]
        test.long = () if test.only_all else tuple(words)
        return test

    def long_form(self) -> "Test":
        variables = tuple(w for w in self.long if not w.startswith("timeout="))
        limits = [float(w.removeprefix("timeout=")) for w in self.long if w not in variables]
        return replace(self, variables=variables, timeout=limits[0] if limits else 0)


@dataclass
class Totals:
    passed: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass
class Oracle:
    """How the kernel's own driver handled the rules that nft_offload got."""
    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @staticmethod
    def silent() -> str:
        """Why the oracle does not listen."""
        if not oracle_file():
            return "not built: scripts/module oracle"
        if slow() > 1:
            return "the kernel's driver looks flows up without the RCU lock, which this kernel reports"
        return ""

    def listen(self, lab: Lab, chip: str) -> None:
        if self.silent():
            return
        try:
            lab.check("router", "modprobe", "-a", "nf_conntrack", "nf_flow_table")
            lab.check("router", "insmod", GUEST_ORACLE, f"capture={','.join(PORTS)}", f"chips={chip}")
        except LabError as e:
            self.failures.append(f"{lab.name}: {e}")

    def hear(self, lab: Lab) -> None:
        """Takes the counts of a lab and unloads the oracle."""
        if self.silent() or not is_up(lab.name):
            return  # A lab that ended by itself has failed already.
        try:
            text = lab.check("router", "cat", "/sys/kernel/debug/nft_offload_oracle")
            lab.check("router", "rmmod", "nft_offload_oracle")
        except LabError as e:
            self.failures.append(f"{lab.name}: {e}")
            return
        for line in text.splitlines():
            key, _, value = line.partition(" ")
            if key == "#":
                self.failures.append(f"{lab.name}: {value}")
            else:
                self.counts[key] = self.counts.get(key, 0) + int(value)

    def point(self, number: int, totals: "Totals", some: bool) -> None:
        """The oracle's point. If all tests ran, and not only `some`, rules must have come."""
        rules, differ = self.counts.get("rules", 0), self.counts.get("differ", 0)
        skip = f" # SKIP {self.silent()}" if self.silent() else ""
        if not skip and some and not rules and not self.failures:
            skip = " # SKIP these tests have no rules"
        for line in self.failures:
            print(f"# oracle: {line}")
        good = bool(skip) or (rules > 0 and not differ and not self.failures)
        totals.skipped += bool(skip)
        totals.passed += good and not skip
        totals.failed += not good
        print(f"{'ok' if good else 'not ok'} {number} selftests: oracle: {rules} rules of the kernel compared, "
              f"{differ} differ{skip}", flush=True)
        print("# oracle: " + ", ".join(f"{key} {n}" for key, n in self.counts.items()))


def all_tests() -> list[Test]:
    return [Test.read(p) for p in sorted(TESTS.glob("*/*.*"), key=lambda p: p.name) if p.is_file() and os.access(p, os.X_OK)]


def of_form(tests: list[Test], form: str, chips: list[str]) -> list[Test]:
    """The tests of `make check` (short), the tests that `make check-all` adds (long), or each test once."""
    on_chips = [replace(t, own=True, chip=c, options=("--chip", c)) for c in chips for t in tests if t.all_chips]
    if form == "short":
        return [t for t in tests if not t.only_all]
    if form == "long":
        return [t if t.only_all else t.long_form() for t in tests if t.only_all or t.long] + on_chips
    return tests + on_chips


def choose(names: list[str]) -> list[Test]:
    tests = all_tests()
    if not names:
        return tests
    known = {t.name: t for t in tests}
    chosen = []
    for name in names:
        stem = Path(name).stem
        if stem not in known:
            raise LabError(f"no test {name}; there are: {', '.join(sorted(known))}")
        chosen.append(known[stem])
    return chosen


def judge(output: str, code: int) -> tuple[list[str], Totals]:
    """Why the test failed, and its points."""
    points = re.findall(r"^(not ok|ok) \d+(.*)$", output, re.M)
    skipped = sum(1 for word, rest in points if word == "ok" and "# SKIP" in rest)
    failed = sum(1 for word, _ in points if word == "not ok")
    totals = Totals(len(points) - skipped - failed, failed, skipped)
    why = [f"{failed} points failed"] if failed else []
    plan = re.search(r"^1\.\.(\d+)", output, re.M)
    if not plan:
        why.append("no plan")
    elif int(plan.group(1)) != len(points):
        why.append(f"{plan.group(1)} points planned, {len(points)} made")
    bail = re.search(r"^Bail out! *(.*)$", output, re.M)
    if bail:
        why.append(bail.group(1))
    if code == 124:
        why.append(UNENDED)
    elif code and not why:
        why.append(f"exit status {code}")
    return why, totals


def skipped(reason: str) -> tuple[list[str], Totals, str]:
    """A test that did not run."""
    return [], Totals(skipped=1), f"1..1\nok 1 {reason} # SKIP"


class Runner:
    """Runs tests, some side by side, and reports each as it ends."""

    def __init__(self, options: list[str], environment: list[str], timeout: float, quiet: bool) -> None:
        self.options, self.environment, self.timeout, self.quiet = options, environment, timeout, quiet
        self.lock = threading.Lock()
        self.number, self.labs = 0, itertools.count()
        self.sums, self.oracle = Totals(), Oracle()

    def start(self, options: tuple[str, ...], oracle: bool) -> Lab:
        lab = Lab(f"run-{os.getpid()}-{next(self.labs)}")
        chip = lab.boot(*self.options, *options).chip
        if oracle:
            with self.lock:
                self.oracle.listen(lab, chip)
        return lab

    def end(self, lab: Lab, oracle: bool) -> list[str]:
        """Ends the lab; returns what its tests leaked."""
        if oracle:
            with self.lock:
                self.oracle.hear(lab)
        leaks = lab.leaks() if is_up(lab.name) else []
        lab.down()
        return leaks

    def alone(self, test: Test) -> None:
        """Runs the test in a lab of its own, or in none."""
        begun, lab = time.monotonic(), None
        missing = not_for_router(lab_options(test.options).program)
        try:
            if test.not_slow and slow() > 1:
                why, totals, text = skipped(test.not_slow)
            elif missing:
                why, totals, text = skipped(f"the tool root has no {', '.join(missing)} for {kernel_paths()['karch']}")
            elif test.outside:
                why, totals, text = self.run_outside(test)
            else:
                lab = self.start(test.options, test.oracle)
                why, totals, text = self.run_in(lab, test)
        except LabError as e:
            why, totals, text = [str(e)], Totals(failed=1), ""
        if lab:
            leaks = self.end(lab, test.oracle)
            if leaks:
                why.append("\n".join(["kmemleak found:", *leaks[:40]]))
                totals.failed += 1
            if not why:
                shutil.rmtree(lab.dir, ignore_errors=True)
        self.report(test, why, totals, text, lab, begun)

    def run(self, tests: list[Test], jobs: int) -> None:
        """A lab keeps one processor busy. The tests that share a lab are shorter and run last, so
        that the labs end at about the same time."""
        apart = collections.deque(t for t in tests if t.apart)
        shared = collections.deque(t for t in tests if not t.apart)

        def take(left: "collections.deque[Test]") -> Iterator[Test]:
            while True:
                try:
                    yield left.popleft()
                except IndexError:
                    return

        def work() -> None:
            for test in take(apart):
                self.alone(test)
            self.together(take(shared))

        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for done in [pool.submit(work) for _ in range(jobs)]:
                done.result()

    def together(self, tests: Iterable[Test]) -> None:
        """One after the other in one lab."""
        lab: Lab | None = None
        good = True
        for test in tests:
            begun = time.monotonic()
            try:
                if lab and not is_up(lab.name):
                    lab = None  # It ended in the test before, which has failed.
                lab = lab or self.start((), True)
                why, totals, text = self.run_in(lab, test)
                if UNENDED in why:
                    lab.down()  # The test may still run, and has not cleaned up.
            except LabError as e:
                why, totals, text = [str(e)], Totals(failed=1), ""
            good = good and not why
            self.report(test, why, totals, text, lab, begun)
        if not lab:
            return
        bad = [f"leaked: {line}" for line in self.end(lab, True)[:40]] + lab.new_bad_lines()
        with self.lock:
            for line in bad:
                print(f"# while the lab was taken down: {line}", flush=True)
            self.sums.failed += len(bad)
        if good and not bad:
            shutil.rmtree(lab.dir, ignore_errors=True)

    def limit(self, test: Test) -> float:
        return max(self.timeout, test.timeout)

    def run_outside(self, test: Test) -> tuple[list[str], Totals, str]:
        try:
            # Such a test starts labs itself, and does more than others.
            done = subprocess.run([test.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=2 * self.limit(test))
        except subprocess.TimeoutExpired as e:
            return [UNENDED], Totals(failed=1), (e.stdout or b"").decode(errors="replace")
        why, totals = judge(done.stdout, done.returncode)
        return why, totals, done.stdout

    def run_in(self, lab: Lab, test: Test) -> tuple[list[str], Totals, str]:
        inside = f"{GUEST_TESTS}/{test.path.relative_to(TESTS)}"
        command = ["env", *test.variables, *self.environment, *guest_command(inside)]
        code, out, err = lab.call("router", command, timeout=self.limit(test))
        text = out.decode(errors="replace")
        why, totals = judge(text, code)
        if is_up(lab.name):
            lab.settle_log()
        else:
            why.append(read_state(lab.name)["why"] or "the lab is gone")
        bad = lab.new_bad_lines()
        if bool(bad) != test.bad_log:
            why.append(f"the router's log: {bad[0]}" if bad else "the log's bad line was not seen")
            totals.failed += 1
        elif why and not totals.failed:
            totals.failed = 1
        return why, totals, text + err.decode(errors="replace")

    def report(self, test: Test, why: list[str], totals: Totals, text: str, lab: Lab | None, begun: float) -> None:
        with self.lock:
            self.number += 1
            self.sums.passed += totals.passed
            self.sums.failed += totals.failed
            self.sums.skipped += totals.skipped
            if why or not self.quiet:
                for line in text.splitlines():
                    print(f"# {line}")
            for line in why:
                print(f"# {test.name}: {line}".replace("\n", "\n# "))
            if why and lab:
                print(f"# {test.name}: log in build/lab/{lab.name}")
            note = f"{totals.passed} points, {time.monotonic() - begun:.1f} s"
            if not why and totals.skipped and not totals.passed:
                note = "SKIP " + "; ".join(re.findall(r"^ok \d+ (.*) # SKIP", text, re.M))
            print(f"{'not ok' if why else 'ok'} {self.number} selftests: {test.name} # {note}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/selftests", description="Runs the kselftests in the lab.",
                                     epilog="Logs of labs with a failed test stay in build/lab.")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="name of a test (default: all)")
    parser.add_argument("--list", action="store_true", help="print the names of the tests")
    parser.add_argument("--chip", default=os.environ.get("CHIP") or "", metavar="CHIP", help="run them on this chip")
    parser.add_argument("--form", choices=("short", "long"), default="",
                        help="short: those of `make check`; long: those that `make check-all` adds (default: each test once)")
    parser.add_argument("--without", action="append", default=[], metavar="NAME", help="leave out this test")
    parser.add_argument("--chips", default="", help=argparse.SUPPRESS)
    parser.add_argument("--layouts", default="", help=argparse.SUPPRESS)
    parser.add_argument("--timeout", type=float, default=240, metavar="S",
                        help="for each test (default: %(default)s); twice that for one beside the labs, more for a slow kernel")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="in the environment of the tests, e.g. --set ROUNDS=1000")
    parser.add_argument("-j", "--jobs", type=int, default=2, metavar="N",
                        help="labs at a time (default: %(default)s)")
    parser.add_argument("-q", "--quiet", action="store_true", help="only failed tests show their points")
    # Other options are for the shared lab, e.g. --no-engine.
    args, options = parser.parse_known_args()

    tests = choose(args.tests)
    if args.list:
        print(*(t.name for t in tests), sep="\n")
        return 0
    if args.jobs < 1:
        raise LabError(f"--jobs {args.jobs}: at least one lab is needed")
    for setting in args.set:
        if not re.fullmatch(r"[A-Za-z_]\w*=.*", setting):
            raise LabError(f"--set {setting}: give a name, = and a value")
    chips = args.chips.split()
    if args.chip:
        if args.chip not in chips:
            raise LabError(f"no chip {args.chip}; there is: {' '.join(chips)}")
        options += ["--chip", args.chip]
    if not args.tests:
        others = [c for c in (args.layouts.split() if slow() > 1 else chips) if c != chips[0]]
        tests = of_form(tests, args.form, [] if args.chip else others)
    elif args.form:
        raise LabError("--form is for all tests: leave it out, or the names")
    some = bool(args.tests or args.without or args.form == "long")
    tests = [t for t in tests if t.name not in args.without]
    forget_old_runs()
    runner = Runner(options, args.set, args.timeout * slow(), args.quiet)
    print("TAP version 13")
    print(f"1..{len(tests) + 1}", flush=True)
    # Labs end with this process. An ordinary exit would wait for the threads and their tests.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    runner.run(tests, args.jobs)
    runner.oracle.point(len(tests) + 1, runner.sums, some=some)
    sums = runner.sums
    print(f"{sums.passed} passed, {sums.failed} failed, {sums.skipped} skipped")
    return 1 if sums.failed or not sums.passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as e:
        sys.exit(f"selftests: {e}")
