"""`prodcheck doctor`: what is declared, what could be judged and is not, and what will stop working."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_prodcheck.cli.error_messages import complain

if TYPE_CHECKING:
    from pytest_prodcheck.environments.configuration import Configuration
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.targets import Target
    from pytest_prodcheck.scope import Scope

EXAMPLES = """\
  prodcheck doctor --env production
  prodcheck doctor --env production --offline        without requests for the pages of runbooks
  prodcheck doctor --env production --format json
"""
SOON = 14  # days before its last day from which a waiver is told
_FEW = 4
_EXPORTER = "opentelemetry.exporter.otlp.proto.http"  # the packages above it are there without it
Level = Literal["wrong", "soon", "missing", "declared"]
_MARKS: dict[Level, str] = {"wrong": "✗", "soon": "!", "missing": "-", "declared": "✓"}


@dataclass(frozen=True)
class Finding:
    """One line. wrong: has to be fixed; soon: will have to be; missing: could be judged and is not."""

    level: Level
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck doctor`."""
    parser.add_argument("--env", required=True, metavar="NAME", help="the environment; there is no default")
    parser.add_argument(
        "--offline", action="store_true", help="do not request the pages of runbooks to see if they exist"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")


def main(args: argparse.Namespace) -> int:
    """Prints what was found; 1 where something is wrong, 2 for a configuration that cannot be read."""
    from pytest_prodcheck.environments.loading import ConfigurationError
    from pytest_prodcheck.scope import ScopeError, read_scope

    try:
        scope, environment, configuration = read_scope(args.env, Path.cwd())
    except (ConfigurationError, ScopeError) as error:
        complain("doctor", error)
        return 2
    found = [
        *_declared(scope),
        *_secrets(environment, configuration),
        *_waivers(configuration, environment.name, datetime.now(UTC).date()),
        *_limits_off(scope),
        *_only_right_tokens(environment),
        *_missing(scope, environment, folded=args.format == "text"),
        *_channels(configuration, environment.name),
        *(() if args.offline else _runbooks(scope)),
    ]
    _print_findings(found, args.format)
    return 1 if any(each.level == "wrong" for each in found) else 0


def _print_findings(found: list[Finding], form: str) -> None:
    from pytest_prodcheck.reports.escaping import safe, safe_json
    from pytest_prodcheck.reports.symbols import takes_unicode

    if form == "json":
        print(safe_json(json.dumps([asdict(each) for each in found], indent=1)))
        return
    unicode = takes_unicode(sys.stdout)
    for each in found:
        mark = _MARKS[each.level] if unicode else f"{each.level:8}"
        print(f"{mark} {safe(each.text)}")


def _declared(scope: Scope) -> Iterator[Finding]:
    kinds: dict[str, list[str]] = {}
    for each in scope.targets:
        kinds.setdefault(each.kind, []).append(each.name)
    for kind, names in sorted(kinds.items()):
        yield Finding("declared", f"{kind}: {_listed(sorted(names))}")


def _secrets(environment: Environment, configuration: Configuration) -> Iterator[Finding]:
    from pytest_prodcheck.environments.secrets import SecretError, SecretResolver
    from pytest_prodcheck.evidence.gathering.known_secrets import references

    resolver = SecretResolver(configuration.root, configuration.project.pass_environment)
    told: set[str] = set()
    project = configuration.project
    of_project = (project.events, project.notify, project.pushgateway, project.traces, project.seal)
    for each in references([environment, *of_project]):
        try:
            resolver.resolve(each)
        except SecretError as error:
            if str(error) not in told:
                told.add(str(error))
                yield Finding("wrong", f"a secret cannot be read: {error}")


def _channels(configuration: Configuration, environment: str) -> Iterator[Finding]:
    """Who is told of runs of this environment, and what that needs."""
    project = configuration.project
    told = [name for name, each in project.notify.items() if not each.environments or environment in each.environments]
    if told:
        yield Finding("declared", f"notify: {_listed(told)}")
    elif not project.notify:
        yield Finding("missing", "notify: no channel is declared, so nobody is notified when a gate closes")
    for wanted, package, extra in ((told, "apprise", "notify"), (project.traces, _EXPORTER, "traces")):
        if wanted and not _is_there(package):
            yield Finding("wrong", f"{extra}: {package} is not installed: pip install 'pytest-prodcheck[{extra}]'")


def _is_there(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package that it lies in
        return False


def _waivers(configuration: Configuration, environment: str, today: date) -> Iterator[Finding]:
    from fnmatch import fnmatchcase

    for each in configuration.project.waivers:
        if not fnmatchcase(environment, each.environment):
            continue
        about = f"the waiver {each.ticket} for {each.check} on {each.target} ({each.owner})"
        left = (each.expires - today).days
        if left < 0:
            yield Finding(
                "wrong",
                (
                    f"{about} expired on {each.expires}, so the failure counts again: "
                    "fix the failure, or renew the waiver"
                ),
            )
        elif left <= SOON:
            yield Finding("soon", f"{about} ends on {each.expires}, in {left} days")


def _limits_off(scope: Scope) -> Iterator[Finding]:
    for each in scope.thresholds:
        if each.limit.off:
            yield Finding("soon", f"the limit of {each.pattern} is off: the value is measured, but never fails")


def _only_right_tokens(environment: Environment) -> Iterator[Finding]:
    """Services behind a fixed token, which every request of ours carries."""
    from pytest_prodcheck.environments.queries import guarded

    for name, service in environment.services.items():
        bearer = service.authentication is not None and service.authentication.bearer is not None
        if bearer and not any(guarded(each) for each in service.endpoints.values()):
            how = f'[auth] with kind = "token", service = "{name}" and a role, and `allow` at its endpoints'
            yield Finding("missing", f"service {name}: nobody tries it without or with a wrong token: declare {how}")


def _may_lack(target: Target) -> bool:
    """Whether more could be declared of a target; a service without HTTP lacks nothing of HTTP."""
    return target.kind != "service" or "http" in target.features


def _missing(scope: Scope, environment: Environment, *, folded: bool) -> Iterator[Finding]:
    """Checks that would run if more were declared, the gravest first; folded: one line for kinds without targets."""
    from pytest_prodcheck.catalogue import entries
    from pytest_prodcheck.outcomes import Severity

    lacking: dict[tuple[str, str], tuple[list[str], list[str]]] = {}  # kind, feature -> targets, checks
    gravest: dict[tuple[str, str], int] = {}
    absent = {*environment.absent, *(each.removesuffix("s") for each in environment.absent)}
    severities = list(Severity)
    for entry in entries():
        targets = [each for each in scope.targets if each.kind == entry.axis and _may_lack(each)]
        wanting = [each.name for each in targets if not set(entry.features) <= each.features | each.beyond]
        if not entry.axis or entry.axis in absent or (targets and not wanting):
            continue
        key = (entry.axis, ", ".join(entry.features) if targets else "")
        names, checks = lacking.setdefault(key, ([], []))
        names += [each for each in wanting if each not in names]
        checks.append(entry.id)
        gravest[key] = min(gravest.get(key, len(severities)), severities.index(Severity(entry.severity)))
    for key in sorted(lacking, key=lambda each: (gravest[each], each)):
        (kind, features), (names, checks) = key, lacking[key]
        if folded and not names:
            continue
        where = f"{kind} {_listed(names)}: {features} is not declared" if features else f"{kind}: none is declared"
        yield Finding("missing", f"{where} ({severities[gravest[key]]}: {_listed(checks)})")
    kinds = sorted(kind for (kind, _), (names, _) in lacking.items() if not names)
    if folded and kinds:
        told = f"{', '.join(kinds)} (--format json lists their checks)"
        yield Finding("missing", f"no target is declared of these kinds: {told}")


def _runbooks(scope: Scope) -> Iterator[Finding]:
    """The team's pages that are not there; asked side by side."""
    if not scope.runbooks:
        return
    from concurrent.futures import ThreadPoolExecutor

    from pytest_prodcheck.catalogue import entries

    there = {each.kind for each in scope.targets}
    names = sorted({entry.runbook for entry in entries() if entry.runbook and entry.axis in there})
    pages = [scope.runbooks.replace("{runbook}", name) for name in names]
    with ThreadPoolExecutor(8) as pool:
        for page, problem in zip(pages, pool.map(_page_problem, pages), strict=True):
            if problem:
                yield Finding("wrong", f"the runbook {page} {problem}")


def _page_problem(address: str) -> str:
    import requests

    try:
        # auth: else what ~/.netrc holds is sent
        with requests.get(address, timeout=5, stream=True, auth=lambda request: request) as answer:
            return (
                "" if answer.status_code < 400 or answer.status_code in (401, 403) else f"answers {answer.status_code}"
            )
    except requests.RequestException as error:
        return f"cannot be reached: {type(error).__name__}"


def _listed(names: list[str]) -> str:
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more} more" if more > 0 else "")
