"""The one HTTP client: bounded in time and size, trusts what is declared, follows no redirects."""

from __future__ import annotations

import json as _json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pytest_prodcheck.evidence import cleaning
from pytest_prodcheck.evidence.bodies import BodyError, read_body, to_text
from pytest_prodcheck.evidence.failures import classify, worth_another_try
from pytest_prodcheck.evidence.records import EvidenceProblem, Exchange, Problem
from pytest_prodcheck.evidence.transport import Route, new_session
from pytest_prodcheck.evidence.trust import tls_context

if TYPE_CHECKING:
    import requests

    from pytest_prodcheck.environments.services import Service
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.resolving import ResolvedAddress

SAFE = ("GET", "HEAD", "OPTIONS")
PAUSE = 0.2  # seconds before the one further try
MOST_HEADERS = 131_072  # bytes of all headers together


@dataclass(frozen=True)
class Request:
    """What to send: path below the service's address, or a whole URL; `form` is sent urlencoded, `json` as JSON."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    anonymous: bool = False  # without the service's own credentials


@dataclass(frozen=True)
class Answer:
    """An answer as received; only `exchange` may be kept. whole: seconds with the set-up of the connection."""

    exchange: Exchange
    whole: float
    headers: tuple[tuple[str, str], ...]
    text: str

    def json(self) -> Any:
        """The body as JSON; raises EvidenceProblem where it is none or was cut."""
        return replace(self.exchange, body=self.text).json()

    def cookies(self) -> dict[str, str]:
        """The cookies that it sets, without those it deletes or leaves empty."""
        found: dict[str, str] = {}
        for name, value in self.headers:
            if name.lower() == "set-cookie":
                key, _, content = value.partition(";")[0].partition("=")
                gone = "max-age=0" in value.lower().replace(" ", "")
                found[key.strip()] = "" if gone else content.strip()
        return {key: value for key, value in found.items() if key and value}

    def location(self) -> str:
        """Where a redirect leads, "" where it does not say."""
        return next((value.strip() for name, value in self.headers if name.lower() == "location"), "")


class Connection:
    """One session with at most one open connection to the service; for one exchange at a time."""

    def __init__(self, client: HttpClient, route: Route, session: requests.Session) -> None:
        self._client = client
        self._route = route
        self._session = session

    @property
    def sent(self) -> bool:
        """Whether a byte of the last request may have left."""
        return self._route.sent

    def close(self) -> None:
        """Closes the connection."""
        self._session.close()

    def ask(self, request: Request, deadline: Deadline) -> Answer:
        """Sends one request and reads its answer; raises EvidenceProblem with method and URL."""
        client = self._client
        url = client.url(request.path)
        what = f"{request.method} {cleaning.url(url)}"
        part = deadline.at_most(client.service.timeout)
        prepared = client.prepare(request, url, part)
        started = time.monotonic()
        received = None
        with self._route.begin(part):
            try:
                received = self._session.send(
                    prepared,
                    stream=True,
                    timeout=part.seconds_left(),
                    verify=client.service.tls.verify == "on",
                    proxies=client.proxies(),
                    allow_redirects=False,
                )
                return self._read(received, request, what, url, started, part)
            except BaseException as error:
                if received is not None:
                    received.close()  # its connection is not back in the session yet
                self._session.close()
                raise EvidenceProblem(client.clean(classify(error, what, part, self._route.peer))) from None

    def _read(
        self, received: requests.Response, request: Request, what: str, url: str, started: float, deadline: Deadline
    ) -> Answer:
        headers = [(name, str(value)) for name, value in received.raw.headers.items()]
        if sum(len(name) + len(value) for name, value in headers) > MOST_HEADERS:
            raise EvidenceProblem(Problem("too-large", f"{what}: its headers are larger than {MOST_HEADERS} bytes"))
        encoding = ", ".join(value for name, value in headers if name.lower() == "content-encoding")
        bound = self._client.context.environment.gathering.body
        try:
            body, truncated = read_body(received.raw, encoding if request.method != "HEAD" else "", bound)
        except BodyError as error:
            raise EvidenceProblem(Problem("protocol", f"{what}: the answer cannot be read: {error}")) from None
        if truncated:
            received.close()
            self._session.close()
        deadline.seconds_left()  # a connection that the deadline shut down reads like one that the peer closed
        ended = time.monotonic()
        text = to_text(body, next((value for name, value in headers if name.lower() == "content-type"), ""))
        redact = self._client.context.redactor.redact
        exchange = Exchange(
            request.method,
            redact(cleaning.url(url)),
            received.status_code,
            cleaning.headers(headers, redact),
            redact(text),
            len(body),
            ended - self._route.sent_at,
            self._route.peer,
            truncated,
        )
        return Answer(exchange, ended - started, tuple(headers), text)


class HttpClient:
    """Requests to one service. Thread-safe: connections are lent to one user at a time and kept open for the next."""

    def __init__(self, service: Service, context: Context, name: str = "") -> None:
        self.service = service
        self.context = context
        self.name = name or service.host
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        if service.proxy is not None and service.connect_to is not None:
            hint = "leave out one of them"
            raise EvidenceProblem(
                Problem("configuration", f"{self.name}: `proxy` and `connect_to` exclude each other", hint)
            )
        self._tls = tls_context(service.tls, context.root, self.name)

    # -- what is sent

    def url(self, path: str) -> str:
        """The whole address of a path below the service's own."""
        return (
            path if path.startswith(("http://", "https://")) else self.service.url.partition("?")[0].rstrip("/") + path
        )

    def proxies(self) -> dict[str, str]:
        """The declared proxy in the form of `requests`."""
        return {"http": self.service.proxy, "https": self.service.proxy} if self.service.proxy else {}

    def prepare(self, request: Request, url: str, deadline: Deadline) -> requests.PreparedRequest:
        """The request with the headers of environment, service and itself, in rising order."""
        import requests

        headers = {
            "User-Agent": "prodcheck",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "keep-alive",
        }
        named = {name.lower(): name for name in headers}
        body: bytes | None = None
        own: dict[str, str] = {}
        if request.json is not None:
            body, own["Content-Type"] = _json.dumps(request.json).encode(), "application/json"
        elif request.form is not None:
            body, own["Content-Type"] = urlencode(request.form).encode(), "application/x-www-form-urlencoded"
        credentials = {} if request.anonymous else self._credentials(deadline)
        for source in (self.context.environment.headers, self.service.headers, credentials, own, request.headers):
            for name, value in source.items():
                filled = value.replace("{run}", self.context.run_id).replace("{revision}", self.context.revision)
                headers[named.setdefault(name.lower(), name)] = filled
        try:
            latin = {name: value.encode("latin-1") for name, value in headers.items()}
            return requests.Request(request.method, url, headers=latin, data=body).prepare()
        except (ValueError, requests.RequestException) as error:
            raise EvidenceProblem(Problem("configuration", f"{request.method} {cleaning.url(url)}: {error}")) from None

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
        return Problem(problem.kind, cleaning.plain(redact(problem.message), 600), problem.hint)

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
    ) -> Answer:
        """Sends one request and reads its answer; raises EvidenceProblem.

        fresh: over a new connection. address: to this address only. turn: which of several addresses is tried first.
        retry: a connection that failed is tried once more, where nothing was sent or the method is safe; that is
        noted.
        """
        unusual = fresh or address is not None or request.method not in SAFE
        for last in (not retry, True):
            with self._lend(unusual or last, address, turn) as (connection, keep):
                try:
                    answer = connection.ask(request, deadline)
                    keep()
                    return answer
                except EvidenceProblem as error:
                    sent = connection.sent and request.method not in SAFE
                    if last or sent or not worth_another_try(error.problem) or deadline.time_left() < 2 * PAUSE:
                        raise
                    deadline.note(f"{error.problem.message}; tried again once")
            time.sleep(PAUSE)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Closes the connections that are kept for the next user."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def connection(self, address: ResolvedAddress | None = None, turn: int = 0) -> Connection:
        """A new connection of one's own; close it."""
        service = self.service
        where = None
        if service.connect_to is not None:
            host, _, port = service.connect_to.rpartition(":")
            where = (host.strip("[]"), int(port))
        route = Route(self.context.resolve, where, address, turn)
        return Connection(self, route, new_session(route, self._tls))

    @contextmanager
    def _lend(self, fresh: bool, address: ResolvedAddress | None, turn: int) -> Iterator[tuple[Connection, Any]]:
        with self._lock:
            connection = self._idle.pop() if self._idle and not fresh else None
        connection = connection or self.connection(address, turn)
        kept: list[bool] = []
        try:
            yield connection, lambda: kept.append(not fresh)
        finally:
            if kept == [True]:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()


def basic(user: str, password: str, context: Context) -> dict[str, str]:
    """The header of basic authentication; its value is redacted from now on."""
    value = b64encode(f"{user}:{password}".encode()).decode()
    context.redactor.add(value)
    return {"Authorization": f"Basic {value}"}
