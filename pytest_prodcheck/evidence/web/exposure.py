"""`http-exposure`: what lies open beside a service's pages. At most 62 requests, at most 3 at once, GET only."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from pytest_prodcheck.evidence.collectors import Sending, evidence
from pytest_prodcheck.evidence.http.clients import client_of
from pytest_prodcheck.evidence.http.service_requests import declared, host_of, service_host
from pytest_prodcheck.evidence.web import exposure_signatures
from pytest_prodcheck.evidence.web.public_addresses import ask, control, control_path, random_name
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.web import Exposure, Probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

AT_ONCE = 3
LINKED = 4  # folders that the front page loads from, besides the fixed ones
PIECE = {"Range": "bytes=0-16383"}  # no whole dump is ever fetched
_LINK = re.compile(r"""\b(?:src|href)\s*=\s*["']?([^"'\s>]+)""", re.I)


def _lines(target: str, environment: Environment) -> tuple[Sending, ...]:
    service = declared(environment, target)
    host = host_of(service)
    found = [(f"GET {control_path(service)}", 2), ("GET random names that nothing has", len(_missing()))]
    found += [
        (f"GET {path}", 1)
        for path in (*exposure_signatures.FILES, *exposure_signatures.DEBUG, *exposure_signatures.FOLDERS)
    ]
    found += [("GET folders that the front page loads from (at most)", LINKED * service.html)]
    return tuple(Sending(host, what, times) for what, times in found if times)


def _seconds(target: str, environment: Environment) -> float:
    return declared(environment, target).timeout * 2 + 60.0


@evidence("http-exposure", axis="service", feature="http", seconds=_seconds, host=service_host, sends=_lines)
def http_exposure(target: str, context: Context, deadline: Deadline) -> Exposure:
    """Which known contents each address shows; asked only where the service answers, and still does afterwards.

    The first 429 ends it: EvidenceProblem (denied), for we were asked to stop.
    """
    before = control(target, context, deadline)
    folders = dict.fromkeys(
        (*exposure_signatures.FOLDERS, *_linked(target, before.body or "", context)), exposure_signatures.LISTING
    )
    missing = dict.fromkeys(_missing(), "nothing")
    asked = [*missing.items(), *exposure_signatures.FILES.items(), *exposure_signatures.DEBUG.items(), *folders.items()]
    probes = {probe.path: probe for probe in _probe_all(target, asked, context, deadline)}
    after = control(target, context, deadline, anew=True)

    def of(paths: Sequence[str]) -> tuple[Probe, ...]:
        return tuple(probes[path] for path in paths)

    return Exposure(
        before,
        after,
        *(of(list(each)) for each in (missing, exposure_signatures.FILES, exposure_signatures.DEBUG, folders)),
    )


def _missing() -> tuple[str, ...]:
    name = random_name()
    return f"/{name}", f"/.{name}", f"/{name}.sql", f"/{name}/{name}.php", f"/{name}/"


def _linked(target: str, body: str, context: Context) -> list[str]:
    """The folders, below the service's address, of what the front page loads."""
    base = client_of(context, target).url("/")
    found: dict[str, None] = {}
    for link in _LINK.findall(body)[:200]:
        try:
            whole = urlsplit(urljoin(base, link))
        except ValueError:
            continue
        folder = whole.path.rpartition("/")[0] + "/"
        below = folder.removeprefix(urlsplit(base).path.rstrip("/"))
        if (
            whole[:2] == urlsplit(base)[:2]
            and below not in ("", "/", *exposure_signatures.FOLDERS)
            and below.startswith("/")
        ):
            found[below] = None
    return list(found)[:LINKED]


def _probe_all(target: str, asked: list[tuple[str, str]], context: Context, deadline: Deadline) -> list[Probe]:
    """One probe for each path, by up to three workers that take the next one."""
    from pytest_prodcheck.evidence.tools.threads import side_by_side

    waiting, lock, done = list(reversed(asked)), threading.Lock(), list[Probe]()

    def work() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                path, what = waiting.pop()
            try:
                probe = _probe(target, path, what, context, deadline)
            except BaseException:
                with lock:
                    waiting.clear()  # the others stop too
                raise
            done.append(probe)

    host = service_host(target, context.environment)
    with context.slots.more(host, AT_ONCE - 1) as further:
        side_by_side([work] * (1 + further), deadline.seconds_left())
    deadline.seconds_left()
    return done


def _probe(target: str, path: str, what: str, context: Context, deadline: Deadline) -> Probe:
    answer = ask(target, "GET", path, context, deadline, PIECE)
    exchange = answer.exchange
    if exchange.status == 429:
        hint = "let our User-Agent pass its rate limiter"
        raise EvidenceProblem(Problem("denied", f"GET {exchange.url}: 429: it asks us to stop, so we did", hint))
    return Probe(
        path, what, exchange.status, exchange.content_type, exchange.size, exposure_signatures.signs(answer.text)
    )
