# SPDX-License-Identifier: GPL-2.0-only
"""Lines of the router's log that a healthy kernel never writes."""

from __future__ import annotations

import re

BAD_LOG = re.compile(
    r"BUG:|WARNING:|Oops|Call Trace|possible circular locking|possible recursive locking"
    r"|inconsistent lock state|possible irq lock inversion|suspicious RCU usage|refcount_t"
    r"|unregister_netdevice: waiting|general protection|KASAN|UBSAN|KCSAN|kmemleak: \d+ new"
    r"|kernel BUG|Kernel panic|sleeping function called|scheduling while atomic|blocked for more than"
    r"|rcu: INFO:.*stall|soft lockup|hard LOCKUP|kernel NULL pointer|Unable to handle kernel"
    r"|ref_tracker: .*(leaked|users at|released)|ODEBUG:|INFO: trying to register non-static key|panicked at"
    # A check that gave up looks like a check that finds nothing.
    r"|memory leak detector disabled|turning off the locking correctness validator|DMA-API: .*disabl"
)
# Between these lines allocations fail on purpose, and the kernel prints a trace for each.
NO_MEMORY, MEMORY_AGAIN = "lab: memory is missing on purpose", "lab: memory is there again"


def bad_lines(text: str) -> list[str]:
    bad, on_purpose = [], False
    for line in text.splitlines():
        if NO_MEMORY in line or MEMORY_AGAIN in line:
            on_purpose = NO_MEMORY in line
        elif BAD_LOG.search(line) and not (on_purpose and line.rstrip().endswith("Call Trace:")):
            bad.append(line.strip())
    return bad


def report_log(lines: list[str]) -> None:
    for line in lines[:20]:
        print(f"# lab: the router's log: {line}", flush=True)
