# SPDX-License-Identifier: GPL-2.0-only
"""The demo: the same traffic through the router three times.

Once without a flowtable, once with the kernel's software flowtable, once with
the flowtable offloaded to the (emulated) engine. Everything in the report is
measured in this run; a measurement that fails fails the demo.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

import demo_report
from client import GUEST_TESTS, Lab
from host import LabError
from klog import report_log
from settings import TOP, kernel_paths, module_file
from topology import ADDR4, PORTS

OUT = TOP / "build" / "demo"
WAN = ADDR4["wan"][1]
MODES = {"none": "no flowtable", "software": "software flowtable", "hardware": "hardware flowtable"}

# 18 bytes of payload make a frame of 60 bytes, 64 with its check sequence.
UDP_PAYLOAD = 18
MAX_LOSS = 0.001
# A load that the slowest of the three passes can still carry.
LOAD_MBIT = 80
ACCOUNT_PORT = 7001


@dataclass
class Mode:
    tcp1_mbps: float = 0
    tcp8_mbps: float = 0
    udp64_pps: int = 0
    rtt_p50_us: float = 0
    rtt_p99_us: float = 0
    router_idle_pct: float = 0
    # How much of the load was carried while the three figures above were measured.
    load_mbps: float = 0
    # While connections run, from a moment after their start: the first packets of a flow
    # reach the router in every mode.
    wire_frames: int = 0
    router_frames: int = 0
    # In the whole pass.
    all_wire_frames: int = 0
    all_router_frames: int = 0


@dataclass
class Accounting:
    conntrack_bytes: int = 0
    wire_bytes: int = 0
    conntrack_packets: int = 0
    wire_packets: int = 0


class Demo:
    def __init__(self, lab: Lab, seconds: int, module: str = "/root/nft_offload.ko") -> None:
        """Without a module it is loaded already."""
        self.lab, self.seconds, self.module = lab, seconds, module
        self.begun = time.monotonic()
        self.where = ""
        self.watched = [0, 0]

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.begun:4.0f} s] {self.where:<18}  {text}", flush=True)

    def router(self, script: str, timeout: float = 60) -> str:
        return self.lab.check("router", "bash", "-c", script, timeout=timeout)

    # Measurements.

    def iperf3(self, *options: str, timeout: float = 60) -> dict[str, Any]:
        code, out, err = self.lab.call("lan", ["iperf3", "-c", WAN, "-J", *options], timeout=timeout)
        try:
            result = json.loads(out)
        except ValueError:
            result = {"error": err.decode(errors="replace").strip() or f"status {code}"}
        if code or "error" in result:
            raise LabError(f"iperf3 {' '.join(options)}: {result.get('error', f'status {code}')}")
        return result

    def watched_iperf3(self, seconds: float, *options: str) -> dict[str, Any]:
        """Counts frames from a second after the start to a moment before the end."""
        result: list[dict[str, Any]] = []
        failure: list[LabError] = []

        def run() -> None:
            try:
                result.append(self.iperf3("-t", str(seconds), *options))
            except LabError as e:
                failure.append(e)

        beside = threading.Thread(target=run)
        beside.start()
        time.sleep(1)
        before = self.frames()
        time.sleep(max(0.2, seconds - 1.5))
        after = self.frames()
        beside.join()
        if failure:
            raise failure[0]
        self.watched = [w + b - a for w, a, b in zip(self.watched, before, after)]
        return result[0]

    def tcp(self, streams: int) -> float:
        end = self.watched_iperf3(self.seconds, "-P", str(streams))["end"]
        return end["sum_received"]["bits_per_second"] / 1e6

    def udp_trial(self, rate: float, seconds: float, watched: bool = False) -> tuple[float, float]:
        """Packets/s that were sent, and the share that was lost. The receiver counts and drops
        packets at its NIC, so that its speed does not matter."""
        self.lab.check("wan", "nft", "reset", "counter", "netdev", "demo", "arrived")
        # The port is always the same: one flow, which is in its flowtable since the first and
        # slowest trial. This does not measure how soon a flow gets there.
        options = ("-u", "-l", str(UDP_PAYLOAD), "-b", str(int(rate) * UDP_PAYLOAD * 8), "--pacing-timer", "100",
                   "--cport", "5301")
        end = (self.watched_iperf3(seconds, *options) if watched else
               self.iperf3("-t", str(seconds), *options))["end"]
        time.sleep(0.2)
        text = self.lab.check("wan", "nft", "list", "counter", "netdev", "demo", "arrived")
        found = re.search(r"packets (\d+)", text)
        sent, took = end["sum"]["packets"], end["sum"]["seconds"]
        if not found or not sent:
            raise LabError("the UDP generator sent nothing")
        loss = max(0.0, 1 - int(found.group(1)) / sent)
        self.say(f"64-byte frames: {rate:,.0f} packets/s asked for, {sent / took:,.0f} sent, {100 * loss:.2f} % lost")
        return sent / took, loss

    def udp_attempt(self, rate: float, seconds: float, watched: bool = False) -> tuple[float, float]:
        """A trial, and a second one if little was lost: the machine may have done something else for
        a moment."""
        sent, loss = self.udp_trial(rate, seconds, watched)
        return self.udp_trial(rate, seconds, watched) if MAX_LOSS <= loss < 0.1 else (sent, loss)

    def udp64(self) -> int:
        """The highest rate with less than MAX_LOSS lost: doubled until it is too
        much, then narrowed down, then held for longer."""
        good, bad, rate, short = 0.0, 0.0, 5000.0, 0
        while not bad and short < 2:
            sent, loss = self.udp_attempt(rate, 1)
            # If the generator twice cannot send at this rate, it has reached its limit.
            short = short + 1 if sent < 0.85 * rate else 0
            if loss < MAX_LOSS:
                good = max(good, sent)
                rate *= 2
            else:
                bad = min(rate, sent)
        while bad and bad > 1.1 * good:
            rate = (good * bad) ** 0.5 if good else bad / 2
            if rate < 100:
                raise LabError("UDP: even 100 packets/s are lost")
            sent, loss = self.udp_attempt(rate, 1)
            if loss < MAX_LOSS and sent > good:
                good = sent
            else:
                bad = rate
        # A rate that was good for a second must be good for longer.
        for _ in range(15):
            sent, loss = self.udp_attempt(good, 3, watched=True)
            if loss < MAX_LOSS:
                return int(sent * (1 - loss))
            good *= 0.92
        raise LabError("64-byte UDP: no rate is carried for three seconds without loss; is this machine busy with something else?")

    def cpu(self) -> tuple[int, int]:
        """Nanoseconds for which the router's processor ran, and those that passed."""
        return int(self.lab.check("lab", "cpu")), time.monotonic_ns()

    def round_trip(self) -> tuple[float, float, float, float]:
        """p50, p99, the router's idle share while a TCP stream runs beside, and how
        much of that stream was carried."""
        failure: list[LabError] = []
        carried: list[float] = []

        def load() -> None:
            try:
                end = self.iperf3("-t", str(self.seconds + 3), "-b", f"{LOAD_MBIT}M")["end"]
                carried.append(end["sum_received"]["bits_per_second"] / 1e6)
            except LabError as e:
                failure.append(e)

        beside = threading.Thread(target=load)
        beside.start()
        time.sleep(1.5)
        before = self.frames()
        ran, clock = self.cpu()
        code, out, err = self.lab.call("lan", ["sockperf", "ping-pong", "-i", WAN, "-p", "11111", "-t",
                                               str(self.seconds), "--msg-size", "64", "--full-rtt"], timeout=60)
        ran_after, clock_after = self.cpu()
        self.watched = [w + b - a for w, a, b in zip(self.watched, before, self.frames())]
        beside.join()
        if failure:
            raise failure[0]
        text = (out + err).decode(errors="replace")
        values = {p: re.search(rf"percentile {p}\.000\s*=\s*([\d.]+)", text) for p in (50, 99)}
        if code or not all(values.values()):
            raise LabError(f"sockperf: {text.strip().splitlines()[-1] if text.strip() else code}")
        p50, p99 = (float(m.group(1)) for m in values.values() if m)
        idle = 100 * max(0.0, 1 - (ran_after - ran) / (clock_after - clock))
        return p50, p99, idle, carried[0]

    def accounting(self) -> Accounting:
        """Flows of known length; both wires are captured, and every frame of the flows is counted."""
        commands = ["capture"]
        for proto, count, size in (("tcp", 3000, 1000), ("udp", 1000, UDP_PAYLOAD)):
            commands += [f"open {proto} {proto} lan {WAN} {ACCOUNT_PORT}", f"send {proto} both 5 100 gap=100",
                         f"send {proto} both {count} {size} gap={0.2 if proto == 'udp' else 0}", f"close {proto}"]
        for proto in ("tcp", "udp"):
            commands += [f"count lan out proto={proto} dport={ACCOUNT_PORT}",
                         f"count wan out proto={proto} sport={ACCOUNT_PORT}"]
        code, out, err = self.lab.call("hosts", ["python3", str(TOP / "selftests/lib/traffic.py")],
                                       stdin="\n".join([*commands, ""]).encode(), timeout=60)
        answers = out.decode().splitlines()
        for command, answer in zip(commands, answers):
            if not answer.startswith("ok"):
                raise LabError(f"accounting: {command}: {answer}")
        if code or len(answers) != len(commands):
            raise LabError(f"accounting: {err.decode(errors='replace').strip() or 'no answer'}")
        result = Accounting()
        for answer in answers[-4:]:
            words = dict(w.split("=") for w in answer.split()[1:])
            result.wire_packets += int(words["frames"])
            result.wire_bytes += int(words["bytes"])
        # conntrack gets the last counts of a flow when the flow has left the flowtable.
        deadline = time.monotonic() + 12
        while time.monotonic() < deadline:
            listing = self.router(f"conntrack -L 2>/dev/null | grep -w dport={ACCOUNT_PORT} || true")
            result.conntrack_packets = sum(int(n) for n in re.findall(r"packets=(\d+)", listing))
            result.conntrack_bytes = sum(int(n) for n in re.findall(r"bytes=(\d+)", listing))
            if (result.conntrack_bytes, result.conntrack_packets) == (result.wire_bytes, result.wire_packets):
                break
            time.sleep(0.3)
        return result

    def frames(self) -> tuple[int, int]:
        lines = dict(line.split(None, 1) for line in self.lab.check("lab", "engine", "stats").splitlines())
        wire = sum(int(lines[f"ports.{port}.wire_rx_frames"]) for port in PORTS)
        seen = self.router("cat /sys/class/net/lan/statistics/rx_packets /sys/class/net/wan/statistics/rx_packets")
        return wire, sum(int(n) for n in seen.split())

    # The passes.

    def prepare(self) -> None:
        self.where = "preparing"
        self.say("iperf3 and sockperf on the wan host")
        self.lab.check("wan", "iperf3", "-s", "-D")
        self.lab.check("wan", "sh", "-c", "sockperf server -p 11111 >/dev/null 2>&1 &")
        self.lab.check("wan", "nft", f"""
            table netdev demo {{
                counter arrived {{ }}
                chain in {{
                    type filter hook ingress device eth0 priority -500;
                    udp length {8 + UDP_PAYLOAD} udp dport 5201 counter name arrived drop
                }}
            }}""")
        self.router("modprobe -a nf_conntrack nf_flow_table nft_flow_offload && sysctl -qw "
                    "net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_flowtable_udp_timeout=5")

    def run_pass(self, mode: str) -> tuple[Mode, Accounting]:
        self.where, result = MODES[mode], Mode()
        if mode == "hardware" and self.module:
            self.router(f"insmod {self.module}")
        self.router(f"conntrack -F >/dev/null 2>&1; . {GUEST_TESTS}/lib/lib.sh && MASQ=1 ruleset {mode}")
        self.lab.check("lan", "ping", "-c", "2", "-i", "0.2", "-W", "2", WAN)
        wire, seen = self.frames()
        self.watched = [0, 0]

        result.tcp1_mbps = round(self.tcp(1), 1)
        self.say(f"TCP, 1 stream: {result.tcp1_mbps:,} Mbit/s")
        result.tcp8_mbps = round(self.tcp(8), 1)
        self.say(f"TCP, 8 streams: {result.tcp8_mbps:,} Mbit/s")
        result.udp64_pps = self.udp64()
        self.say(f"64-byte frames: {result.udp64_pps:,} packets/s at under {100 * MAX_LOSS:g} % loss")
        p50, p99, idle, carried = self.round_trip()
        result.rtt_p50_us, result.rtt_p99_us, result.router_idle_pct = round(p50, 1), round(p99, 1), round(idle, 1)
        result.load_mbps = round(carried, 1)
        self.say(f"beside {carried:.0f} of {LOAD_MBIT} Mbit/s: round trip {p50:,.0f} µs (p99 {p99:,.0f} µs), router {idle:.0f} % idle")
        account = self.accounting()
        self.say(f"conntrack counted {account.conntrack_bytes:,} bytes, the wire carried {account.wire_bytes:,}")

        wire_after, seen_after = self.frames()
        result.all_wire_frames, result.all_router_frames = wire_after - wire, seen_after - seen
        result.wire_frames, result.router_frames = self.watched
        self.say(f"{result.wire_frames:,} frames on the wire while flows ran, {result.router_frames:,} seen by the router")
        return result, account

    def flow_counts(self) -> dict[str, int]:
        text = self.router("cat /sys/kernel/debug/nft_offload/*/stats")
        stats = {key: int(value) for key, value in re.findall(r"^(\w+) (\d+)$", text, re.M)}
        if stats["quarantined"]:
            raise LabError("the module gave the engine up, which did not answer in time: see build/demo/console.log; "
                           "is this machine busy with something else?")
        return {"offered": stats["offered"], "bound": stats["bound_total"], "rejected": stats["rejected"]}


def faults(report: dict[str, Any]) -> list[str]:
    """Conditions of every run that do not hold."""
    out = []
    for mode, a in report["accounting"]["modes"].items():
        if (a["conntrack_bytes"], a["conntrack_packets"]) != (a["wire_bytes"], a["wire_packets"]):
            out.append(f"{MODES[mode]}: conntrack counted {a['conntrack_packets']} packets, {a['conntrack_bytes']} bytes; "
                       f"the wire carried {a['wire_packets']}, {a['wire_bytes']}")
    hardware = report["modes"]["hardware"]
    if hardware["router_frames"] * 100 >= hardware["wire_frames"]:
        out.append(f"hardware flowtable: {hardware['router_frames']} of {hardware['wire_frames']} frames came to the router")
    if not report["flows"]["bound"]:
        out.append("no flow was bound")
    if not report["log_clean"]:
        out.append("the router's log has lines it must not have: see build/demo/console.log")
    return out


def run(chip: str, seconds: int) -> int:
    # Files of an earlier run are not the result of this one.
    OUT.mkdir(parents=True, exist_ok=True)
    for old in ("report.json", "report.md", "report.svg", "console.log"):
        (OUT / old).unlink(missing_ok=True)
    if not module_file():
        raise LabError("no nft_offload.ko for this kernel: `make modules` builds it")
    lab = Lab(f"run-demo-{os.getpid()}-{time.monotonic_ns() // 1000000}")
    demo = Demo(lab, seconds)
    demo.where = "preparing"
    busy = os.getloadavg()[0]
    if demo_report.is_busy(busy):
        demo.say(f"this machine is busy (load {busy:.1f}): rates and times will be worse than they could be")
    demo.say(f"booting Debian's kernel {kernel_paths()['release']} as a router, with an emulated {chip.upper()}")
    try:
        settings = lab.boot("--chip", chip)
        demo.prepare()
        modes: dict[str, Mode] = {}
        accounts: dict[str, Accounting] = {}
        for mode in MODES:
            modes[mode], accounts[mode] = demo.run_pass(mode)
        flows = demo.flow_counts()
        lab.settle_log()
    finally:
        lab.down()
        for name in ("console.log", "vppe1.log"):
            if (lab.dir / name).exists():
                shutil.copyfile(lab.dir / name, OUT / name)
    bad = list(dict.fromkeys(lab.all_bad_lines()))
    report = {
        "kernel": settings.kernel["release"],
        "arch": kernel_paths()["karch"],
        "cpu": settings.machine.cpu.split(",")[0],
        "chip": chip,
        "engine": "emulated",
        "modes": {mode: asdict(result) for mode, result in modes.items()},
        "flows": flows,
        "accounting": {**asdict(accounts["hardware"]), "modes": {m: asdict(a) for m, a in accounts.items()}},
        "log_clean": not bad,
        "load_before": round(busy, 2),
        "seconds": round(time.monotonic() - demo.begun),
    }
    demo_report.write(report, OUT, MODES, LOAD_MBIT)
    print()
    print(demo_report.table(report, MODES, LOAD_MBIT))
    report_log(bad)
    wrong = faults(report)
    for line in wrong:
        print(f"demo: {line}", file=sys.stderr)
    if not wrong:
        shutil.rmtree(lab.dir, ignore_errors=True)
    print("\nbuild/demo: report.json, report.md, report.svg, console.log")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.splitlines()[0])
    parser.add_argument("--chip", default=os.environ.get("CHIP") or "mt7986", help="default: %(default)s")
    parser.add_argument("--seconds", type=int, default=4, help="length of a measurement (default: %(default)s)")
    args = parser.parse_args()
    try:
        return run(args.chip, args.seconds)
    except LabError as e:
        print(f"demo: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
