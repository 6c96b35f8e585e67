# SPDX-License-Identifier: GPL-2.0-only
"""The demo's figures as a table, a page and a chart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable
from xml.sax.saxutils import escape

CAVEAT = (
    "The engine is emulated: a program on this machine stands in for the chip, and the router's processor is emulated "
    "too. Packets per second, Mbit/s and round-trip times are those of the emulation and stand for nothing on silicon; "
    "not even their ratio does. What does carry over is the behaviour: which flows are offloaded, which frames the "
    "router's processor no longer sees, and that the accounting stays exact."
)


def is_busy(load: float) -> bool:
    """Whether a load average shows that the machine did something else, too."""
    return load > 1


def rows(load: int) -> list[tuple[str, str, Callable[[float], str]]]:
    whole: Callable[[float], str] = lambda v: f"{v:,.0f}"
    return [
        ("TCP, 1 stream (Mbit/s)", "tcp1_mbps", whole),
        ("TCP, 8 streams (Mbit/s)", "tcp8_mbps", whole),
        ("64-byte UDP frames, < 0.1 % lost (packets/s)", "udp64_pps", whole),
        (f"round trip beside {load} Mbit/s, p50 (µs)", "rtt_p50_us", whole),
        (f"round trip beside {load} Mbit/s, p99 (µs)", "rtt_p99_us", whole),
        (f"router idle beside {load} Mbit/s (%)", "router_idle_pct", lambda v: f"{v:.1f}"),
        (f"carried of those {load} Mbit/s", "load_mbps", whole),
        ("frames on the wire, flows running", "wire_frames", whole),
        ("frames the router's NICs saw", "router_frames", whole),
    ]


def share(report: dict[str, Any]) -> str:
    m = report["modes"]["hardware"]
    return f"{100 * m['router_frames'] / max(1, m['wire_frames']):.3f} %"


def closing(report: dict[str, Any]) -> list[str]:
    modes, flows, a = report["modes"], report["flows"], report["accounting"]
    times = modes["hardware"]["udp64_pps"] / max(1, modes["software"]["udp64_pps"])
    busy = [f"This machine was busy when it began (load {report['load_before']:.1f}): rates and times are worse than they "
            "could be."] if is_busy(report["load_before"]) else []
    same = all(a[f"conntrack_{unit}"] == a[f"wire_{unit}"] for unit in ("bytes", "packets"))
    return [
        f"With the hardware flowtable {share(report)} of the frames of running flows came to the router's processor "
        f"({modes['hardware']['all_router_frames']:,} of {modes['hardware']['all_wire_frames']:,} when every flow's "
        f"first packets are counted too); 64-byte UDP ran {times:.1f} times as fast as with the software flowtable.",
        f"Flows: {flows['offered']} directions offered, {flows['bound']} bound, {flows['rejected']} rejected.",
        f"Accounting of known flows through the hardware: conntrack {a['conntrack_packets']:,} packets, "
        f"{a['conntrack_bytes']:,} bytes; wire {a['wire_packets']:,} packets, {a['wire_bytes']:,} bytes: "
        f"{'the same' if same else 'NOT the same'}.",
        f"Router's log: {'clean' if report['log_clean'] else 'NOT clean'}.",
        *busy,
    ]


def cells(report: dict[str, Any], names: dict[str, str], load: int) -> list[list[str]]:
    out = [["", *names.values()]]
    for label, key, form in rows(load):
        out.append([label, *(form(report["modes"][mode][key]) for mode in names)])
    return out


def wrapped(text: str, width: int = 98) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) >= width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return [*lines, line]


def table(report: dict[str, Any], names: dict[str, str], load: int) -> str:
    grid = cells(report, names, load)
    widths = [max(len(row[n]) for row in grid) for n in range(len(grid[0]))]
    lines = [f"{report['chip'].upper()} (emulated), kernel {report['kernel']}, {report['arch']} (QEMU's CPU {report['cpu']})", ""]
    for n, row in enumerate(grid):
        lines.append("  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]))
        if not n:
            lines.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
    lines.append("")
    for text in (*closing(report), CAVEAT):
        lines += wrapped(text)
    return "\n".join(lines)


def markdown(report: dict[str, Any], names: dict[str, str], load: int) -> str:
    grid = cells(report, names, load)
    lines = ["# What the offload gained", "",
             f"Chip: {report['chip'].upper()}, **emulated**. Kernel: Debian's stock {report['kernel']} ({report['arch']}), "
             f"run as a router in QEMU without hardware virtualisation, on its CPU `{report['cpu']}`.", "",
             "![chart](report.svg)", "",
             "| " + " | ".join(grid[0]) + " |", "|---|" + "---:|" * (len(grid[0]) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in grid[1:]]
    lines += ["", *(f"- {text}" for text in closing(report)), "", "## What these figures are, and what they are not", "",
              CAVEAT, "", "How it was measured: iperf3 for goodput; iperf3 as generator of 64-byte frames (18 bytes of "
              "payload), counted by nftables at the receiving host's NIC, the highest offered rate with under 0.1 % "
              f"lost; sockperf's UDP ping-pong for the round trip, beside an iperf3 stream of {load} Mbit/s, over which "
              "the run time of the emulated processor gives the router's idle share (its own /proc/stat "
              "looks once a tick and misses what is done in interrupts); the engine's port counters for frames on the wire, the "
              "router's interface counters for what it saw. All traffic is masqueraded. Segmentation and checksum "
              "offloads are off, so a frame is a frame.", ""]
    return "\n".join(lines)


COLOURS = {"none": "#8a8f98", "software": "#4c78a8", "hardware": "#e4572e"}


def svg(report: dict[str, Any], names: dict[str, str], load: int) -> str:
    panels = [r for r in rows(load) if r[1] not in ("wire_frames", "load_mbps")]
    width, bar, head = 760, 20, 64
    block = 24 + 3 * (bar + 4) + 18
    # For the widest of the usual fonts, since text in SVG does not wrap.
    last = wrapped(closing(report)[0], 88)
    height = head + block * len(panels) + 12 + 18 * len(last)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'font-family="sans-serif" font-size="13">',
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
           f'<text x="20" y="28" font-size="17" font-weight="bold">{escape(report["chip"].upper())} (emulated), '
           f'kernel {escape(report["kernel"])}</text>',
           '<text x="20" y="48" fill="#555">figures of an emulation: not those of silicon</text>']
    y = head
    for label, key, form in panels:
        values = {mode: report["modes"][mode][key] for mode in names}
        top = max(values.values()) or 1
        out.append(f'<text x="20" y="{y + 16}" font-weight="bold">{escape(label)}</text>')
        at = y + 24
        for mode, value in values.items():
            length = max(1, 430 * value / top)
            out.append(f'<text x="150" y="{at + 15}" text-anchor="end" fill="#333">{escape(names[mode])}</text>')
            out.append(f'<rect x="160" y="{at}" width="{length:.1f}" height="{bar}" fill="{COLOURS[mode]}"/>')
            out.append(f'<text x="{166 + length:.1f}" y="{at + 15}">{escape(form(value))}</text>')
            at += bar + 4
        y += block
    out += [f'<text x="20" y="{y + 12 + 18 * n}" fill="#555">{escape(line)}</text>' for n, line in enumerate(last)]
    return "\n".join([*out, "</svg>", ""])


def write(report: dict[str, Any], where: Path, names: dict[str, str], load: int) -> None:
    (where / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (where / "report.md").write_text(markdown(report, names, load))
    (where / "report.svg").write_text(svg(report, names, load))
