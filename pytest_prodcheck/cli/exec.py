"""`prodcheck exec`: asks a gate again, runs a command only if it is open, and records that."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from pytest_prodcheck.cli.child_process import Child
from pytest_prodcheck.cli.gate_answer import print_answer
from pytest_prodcheck.cli.gate_options import MAX_AGE, add_scope, duration, query_of, who
from pytest_prodcheck.gates import paths
from pytest_prodcheck.gates.decision import Decision, decide
from pytest_prodcheck.gates.files import append_line, make_private
from pytest_prodcheck.gates.verdict_files import VerdictQuery

LATE = 5.0  # seconds after which an answer is asked for again
EXAMPLES = """\
  prodcheck exec before --env production --revision "$GIT_SHA" -- ./migrate.sh expand
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck exec`."""
    parser.usage = "prodcheck exec GATE --env NAME [options] -- COMMAND [ARGUMENT …]"
    parser.add_argument("gate", metavar="GATE", help="the gate that must be open")
    add_scope(parser)
    parser.add_argument("--max-age", type=duration, metavar="DURATION", help=MAX_AGE)
    parser.add_argument("--strict", action="store_true", help="warnings block too")


def main(args: argparse.Namespace) -> int:
    """The gate's code if it is closed, else the command's (128 + N for signal N, 127 where it cannot start)."""
    if not args.rest:
        print("prodcheck exec: give the command after --: prodcheck exec GATE --env NAME -- COMMAND", file=sys.stderr)
        return 2
    ask = query_of(args, args.gate)
    ask.max_age, ask.strict = args.max_age, args.strict
    while True:
        now = time.time()
        decision = decide(ask, now, os.getcwd())
        print_answer(decision, ask, now)
        if decision.code != 0 or 0 <= time.time() - now < LATE:
            break  # else whoever reads our output made us wait, and the answer is of another time
    if decision.code != 0:
        print(f"prodcheck exec: {args.rest[0]} was not run", file=sys.stderr)
        return decision.code
    return _run(args.rest, ask, decision, args.started_in)


def _run(command: list[str], ask: VerdictQuery, decision: Decision, folder: str) -> int:
    log = _Log(ask, decision, command)
    log.add("started")
    try:
        code = Child(command, own_group=False, folder=folder).run()
    except OSError as error:
        print(f"prodcheck exec: {command[0]} cannot be started: {error.strerror or error}", file=sys.stderr)
        log.add("ended", 127)
        return 127
    code = code if code >= 0 else 128 - code
    log.add("ended", code)
    return code


class _Log:
    """Lines of `.prodcheck/actions.jsonl`. Of the command its name and the number of arguments: they may be secret."""

    def __init__(self, ask: VerdictQuery, decision: Decision, command: list[str]) -> None:
        document = decision.document or {}
        self.file = Path(paths.state_folder(os.getcwd())) / "actions.jsonl"
        self.line = {
            "who": who(),
            "gate": ask.gate,
            "environment": ask.environment,
            "unit": ask.unit,
            "slot": ask.slot,
            "revision": ask.revision or document.get("revision", ""),
            "run": document.get("run", ""),
            "overrides": decision.overrides,
            "command": command[0],
            "arguments": len(command) - 1,
            "pid": os.getpid(),
        }

    def add(self, event: str, code: int | None = None) -> None:
        """One line; a log that cannot be written is told, and stops nobody who has an open gate."""
        line = {"at": time.time(), "event": event, **self.line, "code": code}
        try:
            make_private(self.file.parent)
            append_line(self.file, json.dumps(line).encode())
        except OSError as error:
            print(f"prodcheck exec: NOT RECORDED: {self.file} cannot be written: {error.strerror}", file=sys.stderr)
