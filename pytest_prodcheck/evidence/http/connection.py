"""One exchange over one connection: sent, read within its bounds, recorded without secrets."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from pytest_prodcheck.answers.decoding import BodyError, is_no_coding
from pytest_prodcheck.answers.texts import to_text
from pytest_prodcheck.evidence.http.bodies import LARGE, read_body, read_first_event
from pytest_prodcheck.evidence.http.messages import Answer, Request
from pytest_prodcheck.evidence.http.redirect_locations import FIELDS, ascii_location
from pytest_prodcheck.evidence.network.failures import classify
from pytest_prodcheck.evidence.tools import sanitizing
from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.client import HttpClient
    from pytest_prodcheck.evidence.http.request_heads import PeerConnection, Received
    from pytest_prodcheck.evidence.network.transport import Route


_ONE_AT_A_TIME = threading.Lock()  # large bodies become text one after the other: this is work, not waiting
STREAMS = ("text/event-stream", "multipart/x-mixed-replace")
PAUSE_OF_STREAMS = 2.0  # seconds without an event after which a stream is judged by what there is


class Connection:
    """At most one open connection to the service; for one exchange at a time."""

    def __init__(self, client: HttpClient, route: Route, line: PeerConnection) -> None:
        self._client = client
        self._route = route
        self._line = line

    @property
    def sent(self) -> bool:
        """Whether a byte of the last request may have left."""
        return self._route.sent

    def close(self) -> None:
        """Closes the connection."""
        self._line.close()

    def ask(self, request: Request, deadline: Deadline) -> Answer:
        """Sends one request and reads its answer; raises EvidenceProblem with method and URL."""
        client = self._client
        url = client.url(request.path)
        shown = sanitizing.url(url)
        what = f"{request.method} {shown}"
        part = deadline.at_most(client.service.timeout)
        prepared = client.prepare(request, url, part)
        started = time.monotonic()
        received = None
        self._route.begin(part)
        try:
            received = self._line.send(prepared, part.seconds_left())
            return self._read(received, request, url, what, started, part)
        except BaseException as error:
            if received is not None:
                received.close()
            self._line.close()
            raise EvidenceProblem(client.clean(classify(error, what, part, self._route.peer))) from None
        finally:
            client.context.reached.add(self._route.peer)
            self._route.end()

    def _read(
        self, received: Received, request: Request, url: str, what: str, started: float, deadline: Deadline
    ) -> Answer:
        headers = [
            (name, value if value.isascii() or name.lower() not in FIELDS else ascii_location(value))
            for name, value in received.headers
        ]
        for each in received.odd:
            deadline.note(f"{what}: {self._client.clean(Problem('protocol', each)).message}")
        encoding = ", ".join(value for name, value in headers if name.lower() == "content-encoding")
        if is_no_coding(encoding):
            odd = f"{what}: its Content-Encoding {encoding[:40]!r} is not an encoding; browsers use the body unchanged"
            deadline.note(self._client.clean(Problem("protocol", odd)).message)
        bound = request.document or self._client.context.environment.gathering.body
        kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        streams = kind.partition(";")[0].strip().lower() in STREAMS and request.method != "HEAD"
        try:
            if streams:
                self._line.wait_at_most(min(deadline.seconds_left() / 2, PAUSE_OF_STREAMS))
                body: bytes | bytearray = read_first_event(received, encoding, bound)
                truncated = False
                deadline.note(f"{what}: an endless stream; only its headers and its first event were checked")
            else:
                part = received.status == 206 and any(name.lower() == "range" for name in request.headers)
                body, truncated = read_body(received, encoding if request.method != "HEAD" else "", bound, part)
        except BodyError as error:
            raise EvidenceProblem(Problem("protocol", f"{what}: the answer cannot be read: {error}")) from None
        if truncated or streams:
            received.close()
            self._line.close()
        deadline.seconds_left()  # a connection that the deadline shut down reads like one that the peer closed
        ended = time.monotonic()
        client, redact = self._client, self._client.context.redactor.redact
        size = len(body)
        with _ONE_AT_A_TIME if size > LARGE else nullcontext():
            text = to_text(body, kind)
            del body
            kept = None if request.document else redact(text)
            if truncated and kept is not None:
                kept = kept[:LARGE]  # it can be quoted and its `<head>` be read, no more
        shown = redact(sanitizing.url(url))
        exchange = Exchange(
            request.method,
            shown,
            received.status,
            sanitizing.headers(headers, redact),
            kept,
            size,
            ended - self._route.sent_at,
            self._route.peer,
            truncated,
            self._refused_cookies(url, headers),
            not client.context.environment.protected,
            client.repeat(request, url, shown),
        )
        return Answer(exchange, ended - started, tuple(headers), text, url)

    def _refused_cookies(self, url: str, headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Names of cookies that browsers do not take from this answer, and why."""
        if not any(name.lower() == "set-cookie" for name, _ in headers):
            return ()
        from pytest_prodcheck.cookies import refusals

        found = refusals(url, headers, tls_in_front=not self._client.service.public)
        return tuple((sanitizing.plain(name, 60), sanitizing.plain(why, 200)) for name, why in found)
