# SPDX-License-Identifier: GPL-2.0-only
"""The lab: an emulated router between two hosts, as one thing.

A lab is one process tree in network, process and mount namespaces of its own. Its first
process is the supervisor (supervisor.py). When the supervisor ends, however it ends, the
kernel ends all other processes and removes the namespaces. So a lab leaves nothing behind,
and two labs share nothing but build/lab.

This file has the commands of scripts/lab.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import struct
import sys
import termios
import time
import tty
from typing import Any, NoReturn, Sequence

from channel import recv_frame, request, send_frame
from client import GUEST_TESTS, Lab, forget_old_runs, guest_command, is_up, push_tests, read_state
from host import LabError
from klog import report_log
from settings import LABS, TOP, add_lab_options, resolve, settings_of
from topology import PORTS

def die(text: str, code: int = 1) -> NoReturn:
    print(f"lab: {text}", file=sys.stderr)
    sys.exit(code)


def run_scripts(lab: Lab, files: Sequence[str], timeout: float) -> int:
    push_tests(lab)
    worst = 0
    for name in files:
        if name == "-":
            inside = "/root/stdin"
            lab.push({inside: sys.stdin.buffer.read()})
        else:
            path = resolve(name)
            if path.is_relative_to(TOP / "selftests"):
                inside = f"{GUEST_TESTS}/{path.relative_to(TOP / 'selftests')}"
            else:
                inside = f"/root/{path.name}"
                lab.push({inside: path.read_bytes()})
        code, _, err = lab.call("router", guest_command(inside), timeout=timeout, live=True)
        if code in (124, 125):
            sys.stderr.write(err.decode(errors="replace").splitlines()[-1] + "\n")
        worst = worst or code
    return worst


def cmd_up(args: argparse.Namespace) -> int:
    lab = Lab(args.name or "default")
    lab.start(settings_of(args, lab.name), keep=True)
    push_tests(lab)
    state = read_state(lab.name)
    option = f" --name {lab.name}" if lab.name != "default" else ""
    print(f"lab: {lab.name} is up after {state['why']}; scripts/lab shell{option}, exec, run, down; log: build/lab/{lab.name}/console.log")
    return 0


def cmd_run(args: argparse.Namespace) -> int:
    own = args.name is None or not is_up(args.name)
    forget_old_runs()
    lab = Lab(args.name or f"run-{os.getpid()}-{int(time.time())}")
    if own:
        lab.start(settings_of(args, lab.name), keep=False)
    else:
        lab.log_seen = (lab.dir / "console.log").stat().st_size
    try:
        code = run_scripts(lab, args.files, args.timeout)
        if is_up(lab.name):
            lab.settle_log()
        bad = lab.new_bad_lines()
    finally:
        if own:
            lab.down()
    if own:
        bad = list(dict.fromkeys(lab.all_bad_lines())) or bad
        if read_state(lab.name)["state"] == "dead":
            print(f"lab: {read_state(lab.name)['why']}", file=sys.stderr)
            code = code or 1
    report_log(bad)
    if not code and not bad and own and args.name is None:
        shutil.rmtree(lab.dir, ignore_errors=True)
    elif own and args.name is None:
        print(f"lab: logs kept in build/lab/{lab.name}", file=sys.stderr)
    return code or (1 if bad else 0)


def cmd_exec(args: argparse.Namespace) -> int:
    if args.where not in ("router", *PORTS, "isp", "hosts", "vppectl", "qmp", "lab"):
        raise LabError(f"{args.where}: where? router, lan, wan, isp, hosts, vppectl, qmp or lab")
    if not args.argv:
        raise LabError("exec: what?")
    stdin = None if sys.stdin.isatty() else sys.stdin.buffer.read() if args.stdin else None
    code, _, err = Lab(args.name or "default").call(args.where, args.argv, stdin=stdin, live=True,
                                                   timeout=args.timeout or None)
    if code in (124, 125):
        sys.stderr.write(err.decode(errors="replace").splitlines()[-1] + "\n")
    return code


def cmd_shell(args: argparse.Namespace) -> int:
    lab = Lab(args.name or "default")
    if not sys.stdin.isatty():
        raise LabError("shell: standard input is not a terminal; use exec or run")
    size = os.get_terminal_size()
    shell = ["env", f"TERM={os.environ.get('TERM', 'linux')}", "HOME=/root", "PS1=router# ", "bash", "--norc"]
    with lab.connect() as sock:
        argv = shell if args.where == "router" else ["bash", "--norc", "-i"]
        send_frame(sock, b"A", request(args.where, argv, f"{size.lines}x{size.columns}"))
        saved = termios.tcgetattr(0)
        try:
            if args.where == "router":
                tty.setraw(0)
            sources: list[Any] = [0, sock]
            while True:
                ready = select.select(sources, [], [])[0]
                if 0 in ready:
                    typed = os.read(0, 4096)
                    send_frame(sock, b"I", typed)
                    if not typed:
                        sources.remove(0)
                if sock in ready:
                    kind, data = recv_frame(sock)
                    if kind == b"X":
                        return struct.unpack(">I", data)[0]
                    os.write(1, data)
        except ConnectionError:
            raise LabError("the lab hung up") from None
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)


def cmd_down(args: argparse.Namespace) -> int:
    lab = Lab(args.name or "default")
    if not is_up(lab.name):
        print(f"lab: {lab.name} is not up")
        return 0
    lab.down()
    bad = list(dict.fromkeys(lab.all_bad_lines()))
    report_log(bad)
    return 1 if bad else 0


def cmd_status(args: argparse.Namespace) -> int:
    names = [args.name] if args.name else sorted(p.parent.name for p in LABS.glob("*/lock"))
    for name in names:
        state = read_state(name)
        # A killed lab could not say so itself.
        alive = is_up(name)
        word = state["state"] if alive else "down" if state["state"] in ("ready", "starting") else state["state"]
        print(f"{name}: {word}{' (' + state['why'].splitlines()[0] + ')' if state.get('why') else ''}")
    if args.name:
        return 0 if is_up(args.name) else 1
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="scripts/lab", description="A router in QEMU with the emulated engine, between a lan and a wan host.",
        epilog="In the router, `lan CMD…` and `wan CMD…` run CMD on the hosts, `hosts CMD…` beside them, "
               "`vppectl …` asks the engine, `qmp CMD [JSON]` QEMU, `lab unplug|plug [N]|link PORT up|down|engine [N] CMD…|"
               "bucket …` the lab. Logs: build/lab/NAME.")
    top.add_argument("--name", help="which lab (default: `default`; `run` makes a lab of its own)")
    # Also after the command word, where people write it.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        p = sub.add_parser(name, help=text, description=text, parents=[common])
        p.set_defaults(function=function)
        return p

    add_lab_options(command("up", cmd_up, "start a lab and leave it running"))
    p = command("run", cmd_run, "run scripts in the router; in a lab of their own unless --name is one that is up")
    p.add_argument("files", nargs="+", metavar="FILE", help="script in the repository, or - for standard input")
    p.add_argument("--timeout", type=float, default=300, metavar="S", help="for each script (default: %(default)s)")
    add_lab_options(p)
    p = command("exec", cmd_exec, "run one command: exec router|lan|wan|isp|hosts|vppectl|qmp|lab ARG…")
    p.add_argument("-i", dest="stdin", action="store_true", help="pass standard input on")
    p.add_argument("--timeout", type=float, default=0, metavar="S", help="default: none")
    p.add_argument("where", help="router, lan, wan, isp, hosts (outside both), vppectl, qmp or lab")
    p.add_argument("argv", nargs=argparse.REMAINDER, metavar="ARG")
    p = command("shell", cmd_shell, "a shell in the router")
    p.add_argument("where", nargs="?", default="router", choices=("router", *PORTS), help="default: %(default)s")
    command("down", cmd_down, "end a lab; fails if the router's log has a line it must not have")
    command("status", cmd_status, "which labs there are")
    return top


def main() -> int:
    args = parser().parse_args()
    try:
        return args.function(args)
    except LabError as e:
        die(str(e))
    except KeyboardInterrupt:
        die("interrupted", 130)


if __name__ == "__main__":
    sys.exit(main())
