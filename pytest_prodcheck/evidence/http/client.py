"""The one HTTP client: bounded in time and size, trusts what is declared, follows no redirects."""

from __future__ import annotations

import json as _json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pytest_prodcheck.answers.decoding import BROWSERS
from pytest_prodcheck.environments.queries import origin_of, secret_origins
from pytest_prodcheck.evidence.context import SHORTEST_SECRET
from pytest_prodcheck.evidence.http.connection import Connection
from pytest_prodcheck.evidence.http.kept_connection import HttpConnection
from pytest_prodcheck.evidence.http.messages import SAFE, Answer, Request, basic
from pytest_prodcheck.evidence.http.opener import Opener
from pytest_prodcheck.evidence.http.request_heads import PreparedRequest, prepare
from pytest_prodcheck.evidence.http.role_cookies import RoleCookies, cookie_store_of
from pytest_prodcheck.evidence.network.failures import NO_ANSWER, worth_another_try
from pytest_prodcheck.evidence.network.resolving import addresses_of
from pytest_prodcheck.evidence.network.transport import Route
from pytest_prodcheck.evidence.network.trust import trust_in
from pytest_prodcheck.evidence.tools import sanitizing
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.trace_context import traceparent

if TYPE_CHECKING:
    import ssl

    from pytest_prodcheck.environments.sections.base import SecretRef
    from pytest_prodcheck.environments.sections.services import Service
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.http2 import Http2Connection
    from pytest_prodcheck.evidence.network.resolving import ResolvedAddress

PAUSE = 0.2  # seconds before the one further try


class HttpClient:
    """Requests to one service. Thread-safe: connections are lent to one user at a time and kept open for the next."""

    def __init__(self, service: Service, context: Context, name: str = "") -> None:
        self.service = service
        self.context = context
        self.name = name or service.host
        self._idle: dict[int, list[Connection]] = {}  # by lane
        self._lock = threading.Lock()
        self._tls: ssl.SSLContext | None = None
        self._secret_origins: frozenset[tuple[str, str, int]] | None = None
        if service.proxy is not None and service.connect_to is not None:
            hint = "leave out one of them"
            raise EvidenceProblem(
                Problem("configuration", f"{self.name}: `proxy` and `connect_to` exclude each other", hint)
            )
        if service.url.startswith("https:") or service.tls.model_fields_set:
            self.tls()  # what is wrong with its files is told now

    def tls(self) -> ssl.SSLContext:
        """How the service is trusted, made once: reading the system's CAs takes as long as ten exchanges."""
        with self._lock:
            if self._tls is None:
                self._tls = trust_in(self.service.tls, self.context, self.name)
            return self._tls

    # -- what is sent

    def url(self, path: str) -> str:
        """The whole address of a path below the service's own."""
        return (
            path if path.startswith(("http://", "https://")) else self.service.url.partition("?")[0].rstrip("/") + path
        )

    def prepare(self, request: Request, url: str, deadline: Deadline) -> PreparedRequest:
        """The request with the headers of environment, service and itself, in rising order.

        Headers that are secrets go to the servers they are declared for: those of the environment to its services and
        where one logs in, by the scheme that is declared; never by plain HTTP to what is declared as HTTPS.
        """
        headers = {
            "User-Agent": "prodcheck",
            "Accept": "*/*",
            "Accept-Encoding": BROWSERS,
            "Connection": "keep-alive",
        }
        named = {name.lower(): name for name in headers}
        body: bytes | None = None
        own: dict[str, str] = {}
        if request.json is not None:
            body, own["Content-Type"] = _json.dumps(request.json).encode(), "application/json"
        elif request.files:
            from urllib3 import encode_multipart_formdata

            body, own["Content-Type"] = encode_multipart_formdata({**(request.form or {}), **request.files})
        elif request.form is not None:
            body, own["Content-Type"] = urlencode(request.form).encode(), "application/x-www-form-urlencoded"
        elif request.text is not None:
            body = request.text.encode()
        here = origin_of(url)
        at_home = here == origin_of(self.service.url)
        credentials = self._credentials(deadline) if at_home and not request.anonymous else {}
        if not at_home and here not in self._origins() and self._holds_secret(request.headers):
            text = f"{request.method} {sanitizing.url(url)}: credentials are sent to declared servers only"
            raise EvidenceProblem(Problem("configuration", text))
        sources: tuple[Mapping[str, str | SecretRef], ...]
        shared, theirs = self.context.environment.headers, self.service.headers
        sources = (
            shared if here in self._origins() else _without_secrets(shared),
            theirs if at_home else _without_secrets(theirs),
            credentials,
            own,
            request.headers,
        )
        cookies = next((value for value in request.headers.values() if isinstance(value, RoleCookies)), None)
        if cookies is not None and request.method not in SAFE:
            own |= cookies.proofs(url)
        for source in sources:
            for name, value in source.items():
                headers[named.setdefault(name.lower(), name)] = self._header_value(value, url, deadline)
        try:
            latin = {name: value.encode("latin-1") for name, value in headers.items() if value or name != "Cookie"}
            return prepare(request.method.upper(), url, latin, body)
        except ValueError as error:
            raise EvidenceProblem(
                Problem("configuration", f"{request.method} {sanitizing.url(url)}: {error}")
            ) from None

    def repeat(self, request: Request, url: str, shown: str) -> str:
        """The `curl` line that sends a request to `url` once more, without secrets. shown: the address for people."""
        from pytest_prodcheck.evidence.http.curl_command import curl

        at_home = origin_of(url) == origin_of(self.service.url)
        headers: dict[str, object] = {**self.context.environment.headers, **(self.service.headers if at_home else {})}
        if self.service.authentication is not None and at_home and not request.anonymous:
            headers["Authorization"] = self.service.authentication
        return curl(request, shown, self.service, {**headers, **request.headers}, self.context.redactor.redact)

    def _holds_secret(self, headers: Mapping[str, str]) -> bool:
        """Whether a request carries credentials, by its headers' names or values."""
        redact = self.context.redactor.redact
        return _is_secret(headers) or any(redact(value) != value for value in headers.values())

    def _origins(self) -> frozenset[tuple[str, str, int]]:
        if self._secret_origins is None:
            self._secret_origins = secret_origins(self.context.environment)
        return self._secret_origins

    def _header_value(self, value: str | SecretRef, url: str, deadline: Deadline) -> str:
        if isinstance(value, RoleCookies):
            return value.at(url)
        if not isinstance(value, str):
            return self.context.secret(value, deadline)
        named = value.replace("{run}", self.context.run_id).replace("{revision}", self.context.revision)
        return named.replace("{traceparent}", traceparent(self.context.run_id)) if "{" in named else named

    def _credentials(self, deadline: Deadline) -> dict[str, str]:
        declared = self.service.authentication
        if declared is None:
            return {}
        if declared.bearer is not None:
            return {"Authorization": f"Bearer {self.context.secret(declared.bearer, deadline)}"}
        assert declared.basic is not None
        return basic(declared.basic.user, self.context.secret(declared.basic.password, deadline), self.context)

    def clean(self, problem: Problem) -> Problem:
        """A problem without secrets and control characters."""
        redact = self.context.redactor.redact
        at = self.name if problem.kind in NO_ANSWER else ""
        return Problem(problem.kind, sanitizing.plain(redact(problem.message), 600), problem.hint, at)

    # -- how it is sent

    def ask(
        self,
        request: Request,
        deadline: Deadline,
        *,
        fresh: bool = False,
        address: ResolvedAddress | None = None,
        turn: int = 0,
        retry: bool = True,
        lane: int = 0,
    ) -> Answer:
        """Sends one request and reads its answer; raises EvidenceProblem.

        fresh: over a new connection. address: to this address only. turn: which of several addresses is tried first.
        retry: a connection that failed is tried once more, where nothing was sent or the request changes nothing;
        that is noted. lane: users of other lanes have other connections, to the addresses in turn.
        """
        unusual = fresh or address is not None or not request.changes_nothing
        for last in (not retry, True):
            with self._borrow_connection(unusual or last, address, turn, lane) as (connection, keep):
                try:
                    answer = connection.ask(request, deadline)
                    keep()
                    self._take_cookies(request, answer)
                    return answer
                except EvidenceProblem as error:
                    sent = connection.sent and not request.changes_nothing
                    if last or sent or not worth_another_try(error.problem) or deadline.time_left() < 2 * PAUSE:
                        raise
                    deadline.note(f"{error.problem.message}; tried again once")
            time.sleep(PAUSE)
        raise AssertionError("unreachable")

    def _take_cookies(self, request: Request, answer: Answer) -> None:
        """Keeps what an answer sets for the role whose cookies were sent; a refusal is no part of its session."""
        store = cookie_store_of(request.headers.values())
        if store is not None and answer.exchange.status < 400:
            store.take(self.url(request.path), answer.headers)
            for value in store.values():
                if len(value) >= SHORTEST_SECRET:
                    self.context.redactor.add(value)

    def close(self) -> None:
        """Closes the connections that are kept for the next user."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connection in (each for lane in idle.values() for each in lane):
            connection.close()

    def http2(self) -> tuple[Http2Connection, Connection]:
        """A new connection of one's own that offers HTTP/2 as browsers do; close it."""
        from pytest_prodcheck.evidence.http.http2 import Http2Connection
        from pytest_prodcheck.http2 import OFFERED

        def tls() -> ssl.SSLContext:
            made = trust_in(self.service.tls, self.context, self.name)
            made.set_alpn_protocols(OFFERED)
            return made

        route = self._route(None, 0)
        line = Http2Connection(Opener(route, tls, self.service.proxy, self.tls))
        return line, Connection(self, route, line)

    def connection(self, address: ResolvedAddress | None = None, turn: int = 0) -> Connection:
        """A new connection of one's own; close it."""
        route = self._route(address, turn)
        return Connection(self, route, HttpConnection(Opener(route, self.tls, self.service.proxy)))

    def _route(self, address: ResolvedAddress | None, turn: int) -> Route:
        where = None
        if self.service.connect_to is not None:
            host, _, port = self.service.connect_to.rpartition(":")
            where = (host.strip("[]"), int(port))
        return Route(partial(addresses_of, self.context), where, address, turn)

    @contextmanager
    def _borrow_connection(
        self, fresh: bool, address: ResolvedAddress | None, turn: int, lane: int
    ) -> Iterator[tuple[Connection, Callable[[], None]]]:
        with self._lock:
            idle = self._idle.setdefault(lane, [])
            connection = idle.pop() if idle and not fresh else None
        connection = connection or self.connection(address, turn + lane)
        kept: list[bool] = []
        try:
            yield connection, lambda: kept.append(not fresh)
        finally:
            if kept == [True]:
                with self._lock:
                    self._idle.setdefault(lane, []).append(connection)
            else:
                connection.close()


def _without_secrets(headers: Mapping[str, str | SecretRef]) -> Mapping[str, str | SecretRef]:
    return {name: value for name, value in headers.items() if isinstance(value, str)}


def _is_secret(headers: Mapping[str, str | SecretRef]) -> bool:
    return any(
        not isinstance(value, str) or name.lower() in ("authorization", "cookie", "proxy-authorization")
        for name, value in headers.items()
    )
