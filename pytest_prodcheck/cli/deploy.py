"""`prodcheck deploy`: brings a revision in, step by step, guarded by gates, and back out."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.cli.deploy_progress import Progress
from pytest_prodcheck.cli.gate_options import ALLOW_CHECK, ALLOW_LOAD, ALLOW_WRITE, duration, revision, who

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.deployment import Deployment, DeployOptions

EXAMPLES = """\
  prodcheck deploy --env production --revision "$GIT_SHA" -s canary -m 10m
  prodcheck deploy --env production --revision "$GIT_SHA" --dry-run         the plan with the undo of each step
  prodcheck deploy --env production --revision "$GIT_SHA" --approve         approve that plan (sealed)
  prodcheck deploy --env production --status --format json
  prodcheck deploy --env production --undo                                  roll back, also during a deployment

exit codes:
  0 deployed   1-4 a gate is closed or the system is not as planned; nothing was changed   20 rolled back; the old
  revision passed its gate   21 a person must act   22 waiting for an approval   23 another deployment is in progress
"""
PERSON = 21


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck deploy`."""
    parser.add_argument("--env", required=True, metavar="NAME", help="the environment; there is no default")
    parser.add_argument(
        "--unit", default="", metavar="NAME", help="only this unit (services deployed together; default: all)"
    )
    parser.add_argument(
        "--revision", type=revision, metavar="REV", help="the revision, such as a Git SHA; else PRODCHECK_REVISION"
    )
    parser.add_argument(
        "-s",
        "--strategy",
        choices=("rolling", "blue-green", "canary"),
        help="use this strategy instead of the declared one",
    )
    parser.add_argument(
        "-m",
        "--monitor",
        type=duration,
        metavar="DURATION",
        help="monitor this long after the last step (default: as declared)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="show the plan with the undo of each step; change nothing")
    what.add_argument("--approve", action="store_true", help="write a sealed approval of the plan; change nothing else")
    what.add_argument("--resume", action="store_true", help="continue a deployment that was interrupted or paused")
    what.add_argument("--undo", action="store_true", help="roll back to the old revision")
    what.add_argument("--status", action="store_true", help="show the progress of the newest deployment")
    parser.add_argument("--auto-approve", action="store_true", help="deploy without a person's approval")
    parser.add_argument("--approval", metavar="FILE", help="file of the approval (default: in the state folder)")
    parser.add_argument(
        "--for", dest="seconds", type=duration, default=86400.0, metavar="DURATION",
        help="with --approve: how long the approval is valid (default: 24h)",
    )  # fmt: skip
    for option, metavar, text in (
        ("--allow-write", "NAME", ALLOW_WRITE),
        ("--allow-check", "ID", ALLOW_CHECK),
        ("--allow-load", "NAME", ALLOW_LOAD),
    ):
        parser.add_argument(option, action="append", default=[], metavar=metavar, help=text)
    parser.add_argument(
        "--format", choices=("text", "json"), default="text",
        help="output format (default: text); json: one document, and progress on standard error",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """The exit code; whatever nobody foresaw ends with 21, for it says nothing about where the deployment stands."""
    progress = Progress("stderr" if args.format == "json" else "stdout")
    made: list[Deployment] = []
    try:
        code = _deploy(args, progress, made)
    except BaseException as error:
        with _deaf():
            code = _ended_by(error, made, progress)
    if args.format == "json":
        with _deaf():
            _print_document(args, made, code, progress)
    return code


def _print_document(args: argparse.Namespace, made: list[Deployment], code: int, progress: Progress) -> None:
    """What pipelines read; a journal that cannot be read is said by the code."""
    import json

    from pytest_prodcheck.deploy.journal import JournalDamaged
    from pytest_prodcheck.reports.escaping import safe_json

    found = {"schema": "prodcheck-deployment/1", "environment": args.env, "unit": args.unit, "code": code}
    told: dict[str, Any] = {"state": "", "why": ""}
    with contextlib.suppress(JournalDamaged):
        told = made[0].document() if made else told
    document = {**found, "says": progress.last_message, **told}
    Progress().write(safe_json(json.dumps(document, indent=1)))


def _ended_by(error: BaseException, made: list[Deployment], progress: Progress) -> int:
    interrupted = isinstance(error, (KeyboardInterrupt, Interrupted))
    if interrupted and not any(each.has_changed or each.left_unfinished for each in made):
        progress.message("prodcheck deploy: interrupted: nothing was changed")
        return 3
    what = "interrupted" if interrupted else f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    progress.message(f"prodcheck deploy: a person must act: {what}")
    progress.message("prodcheck deploy: `--status` shows the progress, `--resume` continues, `--undo` rolls back")
    if os.environ.get("PRODCHECK_DEBUG") == "1":
        import traceback

        progress.message("".join(traceback.format_exception(error)))
    return PERSON


def _deploy(args: argparse.Namespace, progress: Progress, there: list[Deployment]) -> int:
    """there: is given the deployment, for whoever has to tell how far it came."""
    from pytest_prodcheck.deploy import deployment
    from pytest_prodcheck.deploy.journal import DeploymentInProgress, JournalDamaged
    from pytest_prodcheck.deploy.plan import PlanProblem
    from pytest_prodcheck.environments.loading import ConfigurationError
    from pytest_prodcheck.gates.seal import KeyProblem

    try:
        made = deployment.Deployment(_options(args), Path.cwd(), progress)
        there.append(made)
        if args.status:
            return made.status()
        if args.dry_run:
            return made.dry_run()
        with _signals():
            return _acting(made, args, progress)
    except DeploymentInProgress:
        progress.message("prodcheck deploy: another deployment is in progress; `--status` shows its progress")
        return 23
    except JournalDamaged as error:
        progress.message(f"prodcheck deploy: a person must act: {error}")
        return PERSON
    except (PlanProblem, ConfigurationError, KeyProblem) as error:
        if any(each.has_changed for each in there):
            raise
        progress.message(f"prodcheck deploy: {error}")
        return getattr(error, "code", 2)


def _acting(made: Deployment, args: argparse.Namespace, progress: Progress) -> int:
    if args.approve:
        return made.approve(who(), args.seconds)
    if args.resume:
        return made.resume()
    if args.undo:
        return made.undo()
    ask: Callable[[str], bool] | None = _asks if _at_a_terminal() and args.format == "text" else None
    return made.deploy("--auto-approve, " + who() if args.auto_approve else "", ask, who())


def _options(args: argparse.Namespace) -> DeployOptions:
    from pytest_prodcheck.deploy.deployment import DeployOptions

    allow = [f"--allow-{name}={each}" for name in ("write", "check", "load") for each in getattr(args, f"allow_{name}")]
    return DeployOptions(
        args.env, args.unit, args.revision, args.strategy, args.monitor, tuple(allow),
        Path(args.approval) if args.approval else None,
    )  # fmt: skip


def _at_a_terminal() -> bool:
    return all(each is not None and each.isatty() for each in (sys.stdin, sys.stdout))


def _asks(wanted: str) -> bool:
    """Whether a person at the terminal approves, by typing the revision."""
    try:
        return input(f"Type {wanted} to deploy it, anything else to stop: ").strip() == wanted
    except (EOFError, KeyboardInterrupt, ValueError):  # ValueError: bytes that are no text
        print()
        return False


class Interrupted(BaseException):
    """SIGTERM or SIGHUP."""


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP end us in order: programs are ended, and the exit code says that a person is needed."""

    def stop(number: int, _frame: object) -> None:
        raise Interrupted(f"signal {number}")

    wanted = (signal.SIGTERM, signal.SIGHUP)  # but not where whoever started us ignores it, as nohup does
    listened = [number for number in wanted if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in listened}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """A second Ctrl-C may not change the exit code."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
