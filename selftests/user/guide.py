#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# runs: beside the labs
# check-all: only
# slow kernels: the guide is for routers, and says how long things take there
"""Types everything that the guide tells people to type, word for word, in a lab.

It reads README.md and the pages of Documentation/guide in the order of its index. The words
behind a fence say what the block is:

  sh            for a shell in the router; `sh lan`, `sh wan`: on that host
  sh openwrt    needs programs that only OpenWrt has: a skipped point
  sh buildroot  for the machine that builds OpenWrt: a skipped point
  sh image      for a router with OpenWrt's programs: ipk.py runs it
  sh debian     for a Debian with apt: scripts/check-dkms runs it
  nft           a ruleset, for `nft -f`; `nft FILE`: the reader keeps it in that file of the router
  text          the output of the block before. … stands for any text; alone in a line it
                stands for any number of lines

A page begins with the module loaded and the two files of nft.md, as after that page; nft.md,
install-debian.md and the README begin with nothing. A comment before a block changes how it
runs:

  <!-- soon -->     the output comes within seconds: the block runs again until then

`guide.py --lint` checks only the pages themselves.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "scripts/lab.d"))
from client import COMMAND, Lab  # noqa: E402
from host import LabError  # noqa: E402
from settings import kernel_paths, module_file  # noqa: E402
from tap import Tap  # noqa: E402

GUIDE = TOP / "Documentation/guide"
INDEX = GUIDE / "index.md"
README = TOP / "README.md"
# Pages that lead to the state with which all others begin.
FROM_NOTHING = ("README.md", "install-debian.md", "nft.md")
WHERE = {"sh": "router", "sh lan": "lan", "sh wan": "wan", "nft": "router", "sh image": "router"}
# Their rulesets are what another program generates, and the page says so.
GENERATED = ("fw4.md",)
# Other programs run these.
ELSEWHERE = ("sh image", "sh debian")
NOT_RUN = {"sh openwrt": "only OpenWrt has these programs", "sh buildroot": "it takes a tree of OpenWrt's source"}
KINDS = (*WHERE, *NOT_RUN, "sh debian", "text")
SOON, BLOCK_TIMEOUT = 10.0, 60.0
# What exists before a reader begins a page: (where, script). The lab's second guest is the router
# of a provider, whose customers have PPPoE sessions.
THERE = {"pppoe.md": ("isp", r"""
    mkdir -p /etc/ppp && cd /etc/ppp
    printf '%s\n' require-chap 'name isp' +ipv6 'mtu 1492' 'mru 1492' >options.isp
    echo 'lab isp secret *' >chap-secrets
    chmod 600 chap-secrets
    modprobe pppoe
    pppoe-server -I access -L 100.64.0.1 -R 100.64.0.10 -N 16 -k -g "$(echo /usr/lib/pppd/*/pppoe.so)" \
        -q "$(command -v pppd)" -O /etc/ppp/options.isp
"""), "*": ("wan", "ip route replace 100.64.0.0/24 via 198.51.100.129")}


@dataclass
class Block:
    page: Path
    line: int
    kind: str
    text: str
    soon: bool = False
    prints: str | None = None
    file: str = ""

    @property
    def name(self) -> str:
        first = next((line.strip() for line in self.text.splitlines() if line.strip()), "")
        first = first if len(first) <= 60 else f"{first[:57]}..."
        return f"{self.page.name}:{self.line}: {self.kind}: {first}".replace("#", "No.")


# --- pages -------------------------------------------------------------------

def read(page: Path) -> tuple[list[Block], list[str]]:
    """The blocks of a page that can be run, and what is wrong with the page."""
    blocks: list[Block] = []
    wrong: list[str] = []
    kind, begun, soon, text, file = None, 0, False, [], ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = re.match(r"\s*```(.*)$", line)
        if kind is None:
            if line.strip():
                soon = line.strip() == "<!-- soon -->" or (soon and bool(fence))
            if fence:
                kind, begun, text, file = fence.group(1).strip(), number, [], ""
                if kind.startswith("nft /"):
                    kind, file = kind.split()
            elif page != README and re.match(r"(\t| {4,})\S", line):
                wrong.append(f"{page.name}:{number}: a block by indentation has no word that says what it is")
        elif fence:
            at = f"{page.name}:{begun}"
            if kind == "text" and blocks and blocks[-1].prints is None and blocks[-1].kind not in NOT_RUN:
                blocks[-1].prints = "".join(f"{t}\n" for t in text)
            elif kind == "text" and not (blocks and blocks[-1].kind in NOT_RUN):
                wrong.append(f"{at}: no block before that prints this")
            elif kind in KINDS:
                if kind != "text":
                    blocks.append(Block(page, begun, kind, "\n".join(text) + "\n", soon, file=file))
            elif page != README or kind.startswith("sh"):
                wrong.append(f"{at}: '```{kind}' is none of {', '.join(KINDS)}")
            kind, soon = None, False
        else:
            text.append(line)
    if kind is not None:
        wrong.append(f"{page.name}:{begun}: the block has no end")
    wrong += [f"{b.page.name}:{b.line}: nothing says what comes soon" for b in blocks if b.soon and b.prints is None]
    return blocks, wrong


def opens(block: Block) -> list[str]:
    """Advice by which a router can end up with no firewall, or with a hole in it."""
    wrong = []
    at = f"{block.page.name}:{block.line}"
    if "flags offload" in block.text and "hook forward" in block.text and block.page.name not in GENERATED:
        wrong.append(f"{at}: where no driver takes the flowtable, the chains of this file are not loaded either")
    if block.kind != "nft" and re.search(r"nft flush ruleset|delete table \S+ filter", block.text):
        wrong.append(f"{at}: there is no firewall until the next command has succeeded")
    for line in block.text.splitlines():
        if re.search(r"\baccept\b", line) and not re.search(r"ct state|iifname|policy accept|icmp", line):
            wrong.append(f"{at}: this accepts new connections from anywhere: {line.strip()}")
    return wrong


def pages() -> list[Path]:
    """In the order in which the index has them, each once."""
    names = dict.fromkeys(re.findall(r"\]\(((?:\.\./)?[\w-]+\.md)\)", INDEX.read_text()))
    found = [INDEX, *(GUIDE / n for n in names if (GUIDE / n).parent == GUIDE)]
    return [README, *(p for p in found if p.exists())]


def lint() -> list[str]:
    wrong: list[str] = []
    openwrt: dict[str, int] = {}
    for page in pages():
        blocks, faults = read(page)
        wrong += faults
        wrong += [fault for b in blocks for fault in opens(b)]
        count = sum(b.kind in NOT_RUN for b in blocks)
        if count:
            openwrt[page.name] = count
    wrong += [f"index.md does not link to {p.name}" for p in sorted(GUIDE.glob("*.md")) if p not in pages()]
    # | [fw4.md](fw4.md) | 3 |
    said = {name: int(n) for name, n in re.findall(r"^\| \[[^]]*\]\(([\w-]+\.md)\) \| (\d+) \|", INDEX.read_text(), re.M)}
    for name in sorted(openwrt.keys() | said.keys()):
        if openwrt.get(name, 0) != said.get(name, 0):
            wrong.append(f"index.md: {name} has {openwrt.get(name, 0)} blocks that are not run, "
                         f"the table says {said.get(name, 0)}")
    return wrong


def matches(prints: str, output: str) -> bool:
    pattern = ""
    for line in prints.splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            parts = [r"[ \t]+".join(re.escape(w) for w in re.split(r"[ \t]+", part)) for part in line.rstrip().split("…")]
            pattern += ".*?".join(parts) + r"[ \t]*\n"
    if output and not output.endswith("\n"):
        output += "\n"
    return bool(re.fullmatch(pattern, output))


# --- the lab -----------------------------------------------------------------

class Guide:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.runs = 0
        self.groups: dict[str, list[int]] = {"router": [], "hosts": []}
        # No flow is bound without them, so readers of any page have loaded them.
        self.rulesets = [b for b in read(GUIDE / "nft.md")[0] if b.kind == "nft"]

    def router(self, script: str) -> str:
        return self.lab.check("router", "sh", "-c", script)

    def prepare(self) -> None:
        """A router on which the module is installed, and not loaded."""
        module = module_file()
        if not module:
            raise LabError("no nft_offload.ko for this kernel: `make modules` builds it")
        release = kernel_paths()["release"]
        self.lab.push(COMMAND | {f"/usr/lib/modules/{release}/updates/nft_offload.ko": module})
        # An emulated router takes longer for a page than a reader, and iperf3's own connection is
        # idle meanwhile.
        self.router("depmod -a && modprobe -a nf_conntrack nf_flow_table && "
                    "sysctl -qw net.netfilter.nf_flowtable_tcp_timeout=120")

    def begin(self, page: Path) -> None:
        """The router is as after a boot; if the page is not in FROM_NOTHING, with module and ruleset."""
        for where, groups in self.groups.items():
            # Processes and daemons that a block has left.
            kill = "".join(f"kill -KILL -{group} 2>/dev/null; " for group in groups)
            if where == "hosts":
                kill += "for h in lan wan; do ip netns pids $h; done | xargs -r kill -KILL; "
            self.lab.check(where, "sh", "-c", kill + "true")
            groups.clear()
        self.router("nft flush ruleset; rmmod nft_offload 2>/dev/null; conntrack -F >/dev/null 2>&1; "
                    "sysctl -qw net.netfilter.nf_conntrack_acct=0; ip neigh flush all; true")
        if page.name not in FROM_NOTHING:
            self.router("modprobe nft_offload && sysctl -qw net.netfilter.nf_conntrack_acct=1")
            for block in self.rulesets:
                code, output = self.once(block)
                if code:
                    raise LabError(f"{block.file} of nft.md: {output.strip()}")
        for name in (page.name, "*"):
            if name in THERE:
                where, script = THERE[name]
                self.lab.check(where, "sh", "-ec", script)

    def once(self, block: Block) -> tuple[int, str]:
        """The exit status, and the output that a terminal would show."""
        where = WHERE[block.kind]
        self.runs += 1
        out = f"/run/guide.{self.runs}"
        script = block.text
        if block.kind == "nft":
            file = block.file or f"{out}.nft"
            self.lab.push({file: block.text.encode()})
            script = f"nft -f {file}\n"
        # The output goes to a file: a process in the background may write after its shell has ended.
        code, shell, err = self.lab.call(where, ["bash", "-ec", f"echo $$\nexec >{out} 2>&1 </dev/null\n{script}"],
                                         timeout=BLOCK_TIMEOUT)
        if shell.strip().isdigit():
            self.groups["router" if where == "router" else "hosts"].append(int(shell))
        if block.kind == "sh wan":
            # A reader who goes to another host takes longer than a server takes to start.
            time.sleep(1)
        said = self.lab.call(where, ["cat", out], timeout=20)[1].decode(errors="replace")
        return code, said + err.decode(errors="replace")

    def point(self, tap: Tap, block: Block) -> None:
        if block.kind in NOT_RUN:
            tap.skip(block.name, NOT_RUN[block.kind])
            return
        begun = time.monotonic()
        while True:
            code, output = self.once(block)
            good = not code and (block.prints is None or matches(block.prints, output))
            if good or not block.soon or time.monotonic() - begun > SOON:
                break
            time.sleep(0.3)
        shown = [f"status {code}; it printed:", *output.splitlines()[:30]]
        if block.prints is not None:
            shown += ["instead of:", *block.prints.splitlines()]
        tap.result(good, block.name, "\n".join(shown))
        took = time.monotonic() - begun
        if took > 5:
            print(f"#   took {took:.1f} s", flush=True)

    def log(self, tap: Tap) -> None:
        self.lab.settle_log()
        bad = self.lab.new_bad_lines()
        tap.result(not bad, "the router's log is clean", "\n".join(bad))


def main() -> int:
    parser = argparse.ArgumentParser(prog="selftests/user/guide.py", description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="name of a page (default: all)")
    parser.add_argument("--lint", action="store_true", help="look at the pages only")
    args = parser.parse_args()
    if args.lint:
        wrong = lint()
        print("".join(f"{line}\n" for line in wrong), end="")
        return 1 if wrong else 0

    chosen = [p for p in pages() if not args.pages or p.name in args.pages or p.stem in args.pages]
    found = {page: [b for b in read(page)[0] if b.kind not in ELSEWHERE] for page in chosen}
    tap = Tap()
    lab = Lab(f"run-guide-{os.getpid()}")
    try:
        # What the pages show is of this chip.
        lab.boot("--chip", "mt7986", "--isp")
        guide = Guide(lab)
        guide.prepare()
        for page, blocks in found.items():
            if blocks:
                guide.begin(page)
            for block in blocks:
                guide.point(tap, block)
        guide.log(tap)
    except LabError as e:
        print(f"Bail out! {e}".replace("\n", " "), flush=True)
        tap.failed += 1
    finally:
        lab.down()
        if not tap.failed:
            shutil.rmtree(lab.dir, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
