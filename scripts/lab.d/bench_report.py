#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Makes a table and report.json of what the oracle module has measured.

    bench_report.py MEASURED REPORT.json

Each line of MEASURED has words of key=value. Fails if a flow costs more with
nft_offload than with the kernel's driver, or if its cost grows with their number.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# Growth from one flow to thousands that is not of the code: longer chains of the
# index, and flows that find their first slots taken.
GROWTH = 1.25


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
    return out


def show(report: dict[str, list[dict[str, object]]]) -> None:
    head = f"{'':26}{'flows':>7}{'REPLACE, bound':>18}{'DESTROY':>14}{'both':>14}{'STATS':>14}"
    chip = None
    for row in report["cost"]:
        if row["chip"] != chip:
            chip = row["chip"]
            print(f"\n{chip}: instructions, the kernel's driver / nft_offload\n{head}")
        pairs = [(row["driver_replace"] + row["driver_commit"], row["ours_replace"]),
                 (row["driver_destroy"], row["ours_destroy"]),
                 (row["driver_flow"], row["ours_flow"]),
                 (row["driver_stats"], row["ours_stats"])]
        cells = [f"{a} / {b}" for a, b in pairs]
        print(f"  {row['kind']:24}{row['flows']:>7}{cells[0]:>18}{cells[1]:>14}{cells[2]:>14}{cells[3]:>14}")
    print("\nslots: random NAT flows bound before the first was refused, and in the end")
    for row in report["slots"]:
        of = row["offered"]
        print(f"  {row['chip']:8} of {of}: driver {row['driver_before_refusal']}, {row['driver_bound']}"
              f" ({100 * row['driver_bound'] / of:.1f} %) in {row['driver_slots']} slots, {row['driver_forgot']} of them"
              f" forgotten; nft_offload {row['ours_before_refusal']},"
              f" {row['ours_bound']} ({100 * row['ours_bound'] / of:.1f} %) in {row['ours_slots']} slots")
    print("\nmemory beside the engine's tables, bytes: fixed, and per flow")
    for row in report["memory"]:
        print(f"  {row['chip']:8} driver {row['driver_bytes']} + {row['driver_bytes_per_flow']} a flow;"
              f" nft_offload {row['ours_bytes']} + {row['ours_bytes_per_flow']} a flow")


def judge(report: dict[str, list[dict[str, object]]]) -> list[str]:
    bad = [f"{r['chip']} {r['kind']}, {r['flows']} flows: {r['ours_flow']} instructions, the driver {r['driver_flow']}"
           for r in report["cost"] if r["ours_flow"] > r["driver_flow"]]
    one = {(r["chip"], r["kind"]): r["ours_flow"] for r in report["cost"] if r["flows"] == 1}
    bad += [f"{r['chip']} {r['kind']}: {r['ours_flow']} instructions with {r['flows']} flows, {one[r['chip'], r['kind']]} with one"
            for r in report["cost"] if r["ours_flow"] > GROWTH * one[r["chip"], r["kind"]]]
    return bad


def main() -> None:
    measured, out = map(Path, sys.argv[1:])
    report = parse(measured.read_text())
    if not report["cost"]:
        sys.exit("bench: nothing was measured")
    report["failed"] = judge(report)
    out.write_text(json.dumps(report, indent=1) + "\n")
    show(report)
    if report["failed"]:
        print()
        for line in report["failed"]:
            print(f"bench: {line}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
