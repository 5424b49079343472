"""`prodcheck run`: gathers and judges by pytest in a process of its own, then asks the gates about that very run."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

from pytest_prodcheck.cli.child_process import Child
from pytest_prodcheck.cli.gate_answer import as_text
from pytest_prodcheck.cli.gate_options import ALLOW_CHECK, ALLOW_LOAD, ALLOW_WRITE, add_scope, query_of
from pytest_prodcheck.gates import paths
from pytest_prodcheck.gates.admission import worst
from pytest_prodcheck.gates.decision import Decision, decide
from pytest_prodcheck.gates.verdict_files import VerdictQuery
from pytest_prodcheck.trusted_files import read_regular

EXAMPLES = """\
  prodcheck run smoke --env production --revision "$GIT_SHA"
  prodcheck run before --env production --unit buying --revision "$GIT_SHA" --wait 120
  prodcheck run --env staging                                 all suites, each with its own gate
  prodcheck run --suite smoke --env demo -- -q                arguments after -- are passed to pytest
"""
_LARGEST = 1024 * 1024  # bytes of the list of gates that a run opened
_USAGE, _CANNOT_TELL, _REFUSED = 2, 3, 4
_SAID = {0: 0, 1: 1, 4: 2, 12: 2, 13: 3, 14: 4}  # pytest's exit code -> the gates' code; every other one is 3
_PASSED_ON = ("unit", "slot", "revision", "vantage", "wait", "evidence_from")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck run`."""
    parser.usage = "prodcheck run [GATE …] --env NAME [options] [-- PYTEST-ARGUMENT …]"
    parser.add_argument(
        "gates", nargs="*", metavar="GATE", help="evaluate these gates (default: the gates of all suites)"
    )
    parser.add_argument(
        "--suite", action="append", default=[], metavar="NAME", help="run this suite instead of gates; may be repeated"
    )
    add_scope(parser)
    parser.add_argument("--vantage", metavar="NAME", help="network location to probe from (default: outside)")
    parser.add_argument(
        "--wait", metavar="DURATION", help="wait at most this long for the system to be ready, such as 2m"
    )
    parser.add_argument("--allow-write", action="append", default=[], metavar="NAME", help=ALLOW_WRITE)
    parser.add_argument("--allow-check", action="append", default=[], metavar="ID", help=ALLOW_CHECK)
    parser.add_argument("--allow-load", action="append", default=[], metavar="NAME", help=ALLOW_LOAD)
    parser.add_argument(
        "--evidence-from",
        metavar="RUN",
        help="judge the saved evidence of this run (its id or folder) again; opens no gate",
    )
    parser.add_argument("--strict", action="store_true", help="warnings block too")
    parser.add_argument("-n", dest="workers", metavar="N", help="pytest-xdist workers, for slow tests of your own")
    parser.add_argument("--report", metavar="FILE", help="write the text report to FILE")
    parser.add_argument("--html", metavar="FILE", help="write the HTML report, one self-contained file, to FILE")
    parser.add_argument("--json", metavar="FILE", help="write the JSON report to FILE")
    parser.add_argument("--sarif", metavar="FILE", help="write a SARIF 2.1.0 file for code-scanning pages to FILE")
    parser.add_argument("--junit-xml", metavar="FILE", help="write a JUnit file to FILE")
    parser.add_argument("--quiet", action="store_true", help="print errors only; the exit code is the answer")


def main(args: argparse.Namespace) -> int:
    """The gravest code of the gates that the run concerned; 3 for a run that did not end in order."""
    from pytest_prodcheck.outcomes import new_run_id

    wrong = [each for each in (*args.gates, *args.suite, args.env) if not paths.is_name(each)]
    if wrong or (args.gates and args.suite):
        why = f"{wrong[0]!r} is not a valid name" if wrong else "give gates or --suite, not both"
        print(f"prodcheck run: {why}", file=sys.stderr)
        return _USAGE
    run = new_run_id()
    child = Child(command(args, run), own_group=True, quiet=args.quiet)
    try:
        ended = child.run()
    except OSError as error:
        print(f"prodcheck run: pytest cannot be started: {error}", file=sys.stderr)
        return _CANNOT_TELL
    if child.signalled:
        print(f"prodcheck run: interrupted by signal {child.signalled}: cannot tell", file=sys.stderr)
        return _CANNOT_TELL
    return conclude(args, run, ended)


def command(args: argparse.Namespace, run: str) -> list[str]:
    """The command line of pytest."""
    words = [sys.executable, "-m", "pytest", "--prodcheck-env", args.env, "--prodcheck-run", run]
    for gate in args.gates:
        words += ["--gate", gate]
    words += ["--prodcheck-select"] if args.gates else []
    words += ["-m", " or ".join(args.suite)] if args.suite else []
    for name in _PASSED_ON:
        if value := getattr(args, name):
            words.append(f"--{name.replace('_', '-')}={value}")
    words += [f"--allow-write={each}" for each in args.allow_write]
    words += [f"--allow-load={each}" for each in args.allow_load]
    words += [f"--allow-check={each}" for each in args.allow_check]
    words += ["--strict-gate"] if args.strict else []
    words += ["-n", args.workers] if args.workers else []
    words += [f"--prodcheck-report={args.report}"] if args.report else []
    for option, file in (("html", args.html), ("json", args.json), ("sarif", args.sarif)):
        words += [f"--prodcheck-{option}={file}"] if file else []
    words += [f"--junit-xml={args.junit_xml}"] if args.junit_xml else []
    return words + (args.rest or [])


def conclude(args: argparse.Namespace, run: str, ended: int) -> int:
    """Asks every gate that the run concerned, insists on verdicts of this very run, and tells what pytest did not."""
    said = _SAID.get(ended, _CANNOT_TELL)
    if said == _USAGE:
        print("prodcheck run: pytest refused the command line or the configuration (see above)", file=sys.stderr)
        return _USAGE
    if args.evidence_from:  # it touches no verdict; the terminal has shown what it found
        print("prodcheck run: saved evidence was judged again; this opens no gate", file=sys.stderr)
        return said or _REFUSED
    asks = _gates_asked(args, run)
    now = time.time()
    decisions = [(ask, decide(ask, now, os.getcwd())) for ask in asks]
    for ask, decision in () if args.quiet else decisions:
        if decision.document is None or decision.reasons or decision.overrides:  # pytest has not shown it so
            print(as_text(decision, ask, now), flush=True)
    code = worst([decision.code for _, decision in decisions])
    if not decisions:
        print("prodcheck run: pytest ended without reporting which gates it evaluated: cannot tell", file=sys.stderr)
    if said != worst([_code_in_document(decision) for _, decision in decisions]):
        how = f"was killed by signal {-ended}" if ended < 0 else f"ended with {ended}"
        print(f"prodcheck run: pytest {how}, which contradicts the verdicts: cannot tell", file=sys.stderr)
        return worst([code, _CANNOT_TELL])
    return code


def _code_in_document(decision: Decision) -> int:
    """What the verdict itself says, before its age and binding were looked at."""
    code = decision.document["code"] if decision.document else _CANNOT_TELL
    return code if isinstance(code, int) else _CANNOT_TELL


def _gates_asked(args: argparse.Namespace, run: str) -> list[VerdictQuery]:
    """The gates that were named, and those that the run said it would judge before it began."""
    names = dict.fromkeys([*args.gates, *args.suite])
    try:
        file = paths.opened_file(paths.state_folder(os.getcwd()), run)
        opened = json.loads(read_regular(file, _LARGEST, follow=False))
        names.update(dict.fromkeys(gate for _, _, _, gate in opened))
    except (OSError, ValueError, TypeError):
        if not names:
            return []
    return [query_of(args, str(name), run) for name in names]
