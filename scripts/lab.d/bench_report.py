#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Makes a table and report.json of the measurements of the oracle's module.

    bench_report.py MEASURED REPORT.json

Each line of MEASURED has words of key=value. Fails if a flow costs more with
nft_offload than with the kernel's driver, or if its cost grows with their number.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# Growth of the cost from one flow to thousands that the code does not cause: other flows have
# slots of the bucket, and the code reads up to three of these.
GROWTH = 1.15

# Where each figure of the report comes from.
HOW = {
    "cost": "instructions per call, the median of the last 1000 calls: difference of the time stamp"
    " counter, which counts instructions under QEMU's -icount shift=0, less that of nothing. A"
    " repeated string instruction counts once for each repetition",
    "kind": "what nf_flowtable asks for one direction of such a flow, addresses and ports random;"
    " vlan: one tag is taken off and one put on; vlan2: two",
    "flows": "flows in the table when the last call of REPLACE is measured, the first of DESTROY, and all of STATS",
    "driver_replace": "mtk_flow_offload_cmd(), FLOW_CLS_REPLACE: the flow is noted",
    "driver_commit": "__mtk_ppe_check_skb(): the flow is bound, at a later packet",
    "driver_flow": "driver_replace + driver_commit + driver_destroy",
    "ours_parse": "of ours_replace, from the rule to the flow",
    "ours_replace": "from the rule to the bound entry, with the lock",
    "ours_flow": "ours_replace + ours_destroy",
    "driver_before_refusal": "slots in use when the first of so many random flows with NAT found its bucket full",
    "driver_bound": "slots in use after all of them",
    "driver_slots": "slots of all PPEs",
    "driver_forgot": "of driver_bound, flows that were bound and that the driver no longer finds",
    "driver_bytes": "sizeof of what it allocates for all PPEs, without the tables that the engine reads",
    "driver_bytes_per_flow": "its structure as kmalloc() rounds it, and a pointer in its hash table",
    "ours_bytes": "size of the slices of records and of the index, allocated with the engine",
    "ours_bytes_per_flow": "0: nothing is allocated for a flow",
    "ours_bytes_per_slot": "ours_bytes / ours_slots",
}


def parse(text: str) -> dict[str, list[dict[str, object]]]:
    out: dict[str, list[dict[str, object]]] = {"cost": [], "slots": [], "memory": []}
    for line in text.splitlines():
        row: dict[str, object] = {}
        for word in line.split():
            key, _, value = word.partition("=")
            row[key] = int(value) if value.isdigit() else value
        if "kind" in row:
            row["driver_flow"] = row["driver_replace"] + row["driver_commit"] + row["driver_destroy"]
            row["ours_flow"] = row["ours_replace"] + row["ours_destroy"]
            out["cost"].append(row)
        elif "offered" in row:
            out["slots"].append(row)
        elif "driver_bytes" in row:
            out["memory"].append(row)
    slots = {row["chip"]: row["ours_slots"] for row in out["slots"]}
    for row in out["memory"]:
        row["ours_bytes_per_slot"] = -(-row["ours_bytes"] // slots[row["chip"]])
    return out


def show(report: dict[str, list[dict[str, object]]]) -> None:
    """The table: what is asked of the kernel's driver / of nft_offload."""
    print(f"{'the kernel`s driver / nft_offload'.replace('`', chr(39)):42}{'flows':>7}{'instructions':>15}"
          f"{'REPLACE, bound':>16}{'DESTROY':>12}{'STATS':>12}")

    def line(chip: object, what: object, flows: object, *cells: tuple[object, object]) -> None:
        texts = [f"{a} / {b}" for a, b in cells]
        widths = [15, 16, 12, 12]
        print(f"{chip:8}{what:34}{flows:>7}" + "".join(f"{text:>{width}}" for text, width in zip(texts, widths)))

    for row in report["cost"]:
        line(row["chip"], row["kind"], row["flows"],
             (row["driver_flow"], row["ours_flow"]),
             (row["driver_replace"] + row["driver_commit"], row["ours_replace"]),
             (row["driver_destroy"], row["ours_destroy"]),
             (row["driver_stats"], row["ours_stats"]))
    for row in report["slots"]:
        chip, of = row["chip"], row["offered"]
        line(chip, "slots of the engine", "", (row["driver_slots"], row["ours_slots"]))
        line(chip, "slots used at the first refusal", of, (row["driver_before_refusal"], row["ours_before_refusal"]))
        line(chip, "slots used at the end", of, (row["driver_bound"], row["ours_bound"]))
    for row in report["memory"]:
        line(row["chip"], "bytes for an engine", "", (row["driver_bytes"], row["ours_bytes"]))
        line(row["chip"], "bytes more for a flow", "", (row["driver_bytes_per_flow"], row["ours_bytes_per_flow"]))


def judge(report: dict[str, list[dict[str, object]]]) -> list[str]:
    bad = [f"{r['chip']} {r['kind']}, {r['flows']} flows: {r['ours_flow']} instructions, the driver {r['driver_flow']}"
           for r in report["cost"] if r["ours_flow"] > r["driver_flow"]]
    one = {(r["chip"], r["kind"]): r["ours_flow"] for r in report["cost"] if r["flows"] == 1}
    bad += [f"{r['chip']} {r['kind']}: {r['ours_flow']} instructions with {r['flows']} flows, {one[r['chip'], r['kind']]} with one"
            for r in report["cost"] if r["ours_flow"] > GROWTH * one[r["chip"], r["kind"]]]
    # A kind that is refused costs nothing.
    return bad + [f"{r['chip']} {r['kind']}, {r['flows']} flows: {name} was not measured"
                  for r in report["cost"] for name, n in r.items() if n == 0]


def main() -> None:
    measured, out = map(Path, sys.argv[1:])
    report = parse(measured.read_text())
    if not report["cost"]:
        sys.exit("bench: nothing was measured")
    report["failed"] = judge(report)
    out.write_text(json.dumps({"how": HOW} | report, indent=1) + "\n")
    show(report)
    if report["failed"]:
        print()
        for line in report["failed"]:
            print(f"bench: {line}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
