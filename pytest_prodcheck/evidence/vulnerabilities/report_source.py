"""Where a report comes from: a file, an address, a program; read within its bounds."""

from __future__ import annotations

import email.utils
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_prodcheck.evidence.collectors import THIS_MACHINE, Sending
from pytest_prodcheck.evidence.http.clients import client_to
from pytest_prodcheck.evidence.tools import placeholders, sanitizing
from pytest_prodcheck.evidence.vulnerabilities import scanner
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.vulnerabilities import Vulnerabilities
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline


@dataclass(frozen=True)
class ReportContent:
    """A report as received. dated: the time of the file, None where there is none; made: when it was run, else None."""

    name: str
    content: bytes
    dated: float | None = None
    made: float | None = None


def declared(environment: Environment, target: str) -> Vulnerabilities:
    """One declared report; raises EvidenceProblem (configuration) for another name."""
    if target not in environment.vulnerabilities:
        raise EvidenceProblem(Problem("configuration", f"no report {target!r} is declared under `vulnerabilities`"))
    return environment.vulnerabilities[target]


def host(target: str, environment: Environment) -> str:
    """Whom the gathering talks to: the address's host, this machine for files and programs."""
    report = declared(environment, target)
    if report.url is None:
        return THIS_MACHINE
    parts = urlsplit(report.url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def sends(target: str, environment: Environment) -> tuple[Sending, ...]:
    """One line for the plan; the same report is read once for both suites."""
    report = declared(environment, target)
    if report.url is not None:
        what = f"GET {sanitizing.url(report.url)}"
    elif report.report is not None:
        what = f"reads the file {report.report}"
    else:
        what = f"runs {' '.join(scanner.command_of(report))}"
    return (Sending(host(target, environment), what, once=f"scan:{target}"),)


def filled(text: str, report: Vulnerabilities, context: Context) -> str:
    """The text with `{revision}` and `{unit}` filled in; raises EvidenceProblem where the run names none."""
    return placeholders.fill_placeholders(text, context, report.unit or "")


def read(report: Vulnerabilities, context: Context, deadline: Deadline) -> ReportContent:
    """The report's bytes; raises EvidenceProblem for one that is not there, too large or late."""
    if report.report is not None:
        return file(filled(report.report, report, context), context.root, report.largest)
    if report.url is not None:
        return _fetched(filled(report.url, report, context), report, context, deadline)
    began = time.time()
    words = [filled(word, report, context) for word in scanner.command_of(report)]
    codes = report.exit_codes if report.exit_codes is not None else scanner.FINDS.get(report.format, (0,))
    output = scanner.run(words, codes, report.largest, context.root, deadline, context.redactor.redact, context.passed)
    return ReportContent(words[0], output, made=began)


def file(name: str, root: Path, largest: int) -> ReportContent:
    """A plain file's bytes and its time."""
    try:
        with open(os.open(root / name, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:  # a pipe would be waited for
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise EvidenceProblem(Problem("configuration", f"{name} is not a plain file"))
            content = stream.read(largest + 1)
    except FileNotFoundError:
        hint = "does the pipeline write it before this runs?"
        raise EvidenceProblem(Problem("configuration", f"there is no file {name}", hint)) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a usable path"
        raise EvidenceProblem(Problem("configuration", f"{name} cannot be read: {why}")) from None
    if len(content) > largest:
        raise EvidenceProblem(Problem("too-large", f"{name} has more than {largest} bytes", "raise `largest`"))
    return ReportContent(name, content, dated=status.st_mtime)


def _fetched(url: str, report: Vulnerabilities, context: Context, deadline: Deadline) -> ReportContent:
    from pytest_prodcheck.environments.sections.services import Service, ServiceTls
    from pytest_prodcheck.evidence.http.messages import Request

    service = Service(
        url=url, tls=ServiceTls(ca=report.ca), authentication=report.authentication, timeout=report.timeout
    )
    answer = client_to(context, service).ask(Request("GET", url, document=report.largest), deadline)
    name, exchange = sanitizing.url(url), answer.exchange
    if exchange.status != 200:
        raise EvidenceProblem(Problem("protocol", f"{name} answered {exchange.status}, not 200"))
    if exchange.truncated:
        raise EvidenceProblem(Problem("too-large", f"{name} has more than {report.largest} bytes", "raise `largest`"))
    told = next((value for key, value in answer.headers if key.lower() == "last-modified"), "")
    try:
        dated = email.utils.parsedate_to_datetime(told).timestamp() if told else None
    except (ValueError, OverflowError):
        dated = None
    return ReportContent(name, answer.text.encode("utf-8", "surrogatepass"), dated=dated)
