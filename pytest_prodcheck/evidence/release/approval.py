"""`change-approval`: the change record of what is to be deployed, and the freezes that matter now."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_prodcheck.environments.queries import unit_names
from pytest_prodcheck.evidence.collectors import THIS_MACHINE, Sending, evidence
from pytest_prodcheck.evidence.http.clients import client_to
from pytest_prodcheck.evidence.release import approval_github, approval_records
from pytest_prodcheck.evidence.release.freezes import LARGEST as LARGEST_FREEZES
from pytest_prodcheck.evidence.release.freezes import freezes
from pytest_prodcheck.evidence.tools import sanitizing
from pytest_prodcheck.evidence.tools.placeholders import fill_placeholders
from pytest_prodcheck.evidence.vulnerabilities.report_source import file
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.release import Approval, Change, Freeze

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.approval import Approval as ApprovalSettings
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.client import HttpClient

LARGEST = 4 * 1024 * 1024  # bytes of change records


def _settings(environment: Environment) -> ApprovalSettings:
    if environment.approval is None:
        raise EvidenceProblem(Problem("configuration", "no `approval` is declared"))
    return environment.approval


def _address(settings: ApprovalSettings) -> str:
    return settings.url or (approval_github.API if settings.kind == "github-deployments" else "")


def _host(target: str, environment: Environment) -> str:
    parts = urlsplit(_address(_settings(environment)))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.hostname}:{port}" if parts.scheme else THIS_MACHINE


def _sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    settings, to = _settings(environment), _host(target, environment)
    if settings.kind == "file":
        return (Sending(to, f"reads the file {settings.record}"),)
    if settings.kind == "url":
        return (Sending(to, f"GET {sanitizing.url(_address(settings))}"),)
    what = f"GET /repos/{settings.repository}: commit, pull requests, deployments, statuses, reviews"
    return (Sending(to, what, approval_github.REQUESTS),)


def _seconds(target: str, environment: Environment) -> float:
    return _settings(environment).timeout + 1.0


@evidence("change-approval", axis="approval", seconds=_seconds, host=_host, sends=_sends)
def change_approval(target: str, context: Context, deadline: Deadline) -> Approval:
    """The change records and freezes; a record that is not there is told as none.

    Raises EvidenceProblem where that cannot be told: no revision, a source that does not answer or lies elsewhere, a
    record or calendar that is not of its form.
    """
    environment, settings = context.environment, _settings(context.environment)
    if not context.revision:
        raise EvidenceProblem(Problem("configuration", "no revision was named", "give --revision REV"))
    units, now = unit_names(environment), time.time()
    source, changes = _changes(settings, environment.name, context, deadline.at_most(settings.timeout))
    calendar: tuple[Freeze, ...] = ()
    if settings.freeze is not None:
        context.relies_on(settings.freeze)
        content = file(settings.freeze, context.root, LARGEST_FREEZES).content
        calendar = freezes(content, settings.freeze, units, now)
    found = Approval(source, environment.name, units, context.revision, changes, calendar, now, settings.holds)
    clean: Approval = context.redactor.redact_data(found)
    return clean


def _changes(
    settings: ApprovalSettings, environment: str, context: Context, deadline: Deadline
) -> tuple[str, tuple[Change, ...]]:
    """The source's name, and the change records that it holds."""
    if settings.kind == "file":
        name = fill_placeholders(settings.record or "", context)
        path = context.root / name
        if path.parent.is_dir() and not path.exists() and not path.is_symlink():
            return name, ()  # the folder of change records is there, and none for this release in it
        return name, approval_records.read(_text(file(name, context.root, LARGEST).content, name), name)
    address = fill_placeholders(_address(settings), context)
    if settings.kind == "url":
        return _fetched(address, settings, context, deadline)
    repository = fill_placeholders(settings.repository or "", context)
    deployed = fill_placeholders(settings.deployment or environment, context)
    client = _client(address, settings, context)
    unit = context.environment.unit
    found = approval_github.read(client, repository, deployed, unit, context.revision, deadline)
    source = f"GitHub's deployments of {repository} to {deployed}"
    return source, tuple(replace(each, environment=environment, revision=context.revision) for each in found)


def _fetched(
    address: str, settings: ApprovalSettings, context: Context, deadline: Deadline
) -> tuple[str, tuple[Change, ...]]:
    from pytest_prodcheck.evidence.http.messages import Request

    name = sanitizing.url(address)
    answer = _client(address, settings, context).ask(Request("GET", address, document=LARGEST), deadline)
    if answer.exchange.status in (404, 410):
        return name, ()
    if answer.exchange.status != 200:
        raise EvidenceProblem(Problem("protocol", f"{name} answered {answer.exchange.status}, not 200"))
    if answer.exchange.truncated:
        raise EvidenceProblem(Problem("too-large", f"{name} has more than {LARGEST} bytes"))
    return name, approval_records.read(answer.text, name)


def _client(address: str, settings: ApprovalSettings, context: Context) -> HttpClient:
    from pytest_prodcheck.environments.sections.services import Service, ServiceTls

    tls, login = ServiceTls(ca=settings.ca), settings.authentication
    return client_to(context, Service(url=address, tls=tls, authentication=login, timeout=settings.timeout))


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise EvidenceProblem(Problem("protocol", f"{name} is not UTF-8")) from None
