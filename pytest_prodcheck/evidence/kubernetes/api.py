"""The Kubernetes API through the kubernetes client's connection: raw JSON, paged lists, each asked once in a run.

Raw, because the client's typed objects take twice the time and six times the memory of the JSON they are made from.
"""

from __future__ import annotations

import gc
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.environments.queries import is_loopback
from pytest_prodcheck.evidence.kubernetes.server_clock import ServerClock
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.threads import start_job
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.kubernetes import Kubernetes
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

PAGE = 500  # objects in one answer; a list without a limit is held in memory by the API server and by us
LARGEST = 64 * 1024 * 1024  # bytes of one answer
TRIES = 4  # of one page, for answers that say "not now": 429, 5xx, a dropped connection
LISTS = 3  # of one whole list, for 410: the snapshot that its pages come from is gone
_DECODING = threading.Lock()
_HEAD = re.compile(rb'\{"kind":"\w+","apiVersion":"[\w./-]+","metadata":(\{(?:"\w+":(?:"[^"\\]*"|\d+),?)*\}),"items":')
BUSY = (429, 502, 503, 504)  # an API server, or a balancer before it, that cannot answer now
_LATER = (500, *BUSY)
_API = "the Kubernetes API"  # what all that is asked of it has in common where nothing of it answers

Object = dict[str, Any]
Decode = Callable[[bytes], Any]  # JSON of an answer; raises ValueError


class ListExpired(Exception):
    """410: the list that was being paged through has to be begun again."""


class Unwanted(EvidenceProblem):
    """An answer with another status than 2xx."""

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(problem)
        self.status = status


class Api:
    """One cluster's API as the declared context reaches it."""

    def __init__(self, settings: Kubernetes, context: Context) -> None:
        self.namespace = settings.namespace
        self._context = context
        self._configuration = _configuration(settings, context)
        self.server = str(self._configuration.host)
        from kubernetes.client.rest import RESTClientObject

        self._pool = RESTClientObject(self._configuration).pool_manager
        self.clock = ServerClock()

    def get(self, path: str, deadline: Deadline, **query: str) -> Object:
        """One object; raises EvidenceProblem for every answer but 200."""
        return self._ask("GET", path, deadline, query=query)

    def post(self, path: str, body: Object, deadline: Deadline, **query: str) -> Object:
        """What the server answers to an object that it does not keep (reviews, dry runs)."""
        return self._ask("POST", path, deadline, query=query, body=body)

    def text(self, path: str, deadline: Deadline) -> tuple[int, str]:
        """Status and text of a path such as /readyz, whatever the status."""
        status, content, _ = self._send("GET", path, deadline, {}, None)
        return status, content.decode("utf-8", "replace")

    def live(self, path: str, deadline: Deadline) -> Object | None:
        """One object, None where there is none; raises EvidenceProblem for every other answer."""
        status, content, _ = self._ask_with_retries("GET", path, deadline, {}, None)
        return None if status == 404 else _read("GET", path, status, content)

    def dry_run(
        self, method: str, path: str, body: Object, deadline: Deadline, kind: str = "application/json", **query: str
    ) -> tuple[int, bytes, str]:
        """Status, body and Warning headers of a request of which the server keeps nothing; kind: of its body."""
        query["dryRun"] = "All"
        status, content, headers = self._ask_with_retries(method, path, deadline, query, body, kind)
        return status, content, headers.get("Warning", "")

    def change(
        self, method: str, path: str, body: object, deadline: Deadline, kind: str = "application/json"
    ) -> tuple[int, Object]:
        """Status and object of one request, each sent once: who changes something has to look what became of it.

        The object is empty where a balancer answers for an API server that is away.
        """
        status, content, _ = self._send(method, path, deadline, {}, body, kind, tries=1)
        try:
            document = _decoded(content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            if status in _LATER:
                return status, {}
            raise EvidenceProblem(Problem("protocol", f"{method} {path}: answered {status} with no JSON object"))
        return status, document

    def items(
        self, path: str, deadline: Deadline, take: Callable[[Object], Any] = lambda item: item,
        decode: Decode | None = None, **query: str,
    ) -> list[Any]:
        """All objects of a list, page by page, each as `take` makes it (None leaves it out); decode: of a page.

        Raises EvidenceProblem (denied, with the rule that is missing; timeout; protocol): never a part of the list.
        """
        for _ in range(LISTS):
            try:
                found = self._pages(path, deadline, query, decode or _decoded)
                return [made for item in found if (made := take(item)) is not None]
            except ListExpired:
                deadline.note(f"the list {path} changed while it was read, so reading started again")
        raise EvidenceProblem(Problem("protocol", (f"GET {path}: reading the list was interrupted "
            f"{LISTS} times (410 Gone)")))

    def _pages(
        self, path: str, deadline: Deadline, asked: Mapping[str, str], decode: Decode
    ) -> Iterator[Object]:
        """The objects of a list; the next page is on its way while one is read."""

        def ask(token: str) -> tuple[int, bytes]:
            query = {**asked, "limit": str(PAGE), **({"continue": token} if token else {})}
            return self._ask_with_retries("GET", path, deadline, query, None)[:2]

        status, content = ask("")
        while True:
            told = _continue_token(content)
            coming = start_job(partial(ask, told)) if told else None
            page = _page(path, status, content, decode)
            del content
            yield from page.get("items") or ()
            token = str((page.get("metadata") or {}).get("continue") or "")
            if not token:
                return
            status, content = coming() if coming and token == told else ask(token)

    def _ask(
        self, method: str, path: str, deadline: Deadline, *, query: Mapping[str, str], body: Object | None = None
    ) -> Object:
        status, content, _ = self._ask_with_retries(method, path, deadline, query, body)
        return _read(method, path, status, content)

    def _ask_with_retries(
        self, method: str, path: str, deadline: Deadline, query: Mapping[str, str], body: Object | None,
        kind: str = "application/json",
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers; what says "not now" is asked again."""
        for number in range(1, TRIES + 1):
            status, content, headers = self._send(method, path, deadline, query, body, kind)
            wait = _retry_delay(headers.get("Retry-After"), number)
            if status not in _LATER or number == TRIES or (status == 500 and body is not None):
                break  # a dry run's 500 is what a webhook or the schema says
            deadline.note(f"{method} {path} answered {status}; the request was repeated")
            if deadline.time_left() <= wait:
                break
            time.sleep(wait)
        return status, content, headers

    def _send(
        self, method: str, path: str, deadline: Deadline, query: Mapping[str, str], body: object | None,
        kind: str = "application/json", tries: int = TRIES,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers; a connection that breaks is tried again."""
        import urllib3

        headers = {"Accept": "application/json", "User-Agent": "prodcheck", **self._credentials()}
        text = None
        if body is not None:
            headers["Content-Type"] = kind
            text = json.dumps(body).encode()
        address = f"{self.server.rstrip('/')}{path}"
        if query:
            from urllib.parse import urlencode

            address += f"?{urlencode(query)}"
        for number in range(1, tries + 1):
            sent = time.time()
            try:
                answer = self._pool.request(
                    method, address, headers=headers, body=text, retries=False, redirect=False, preload_content=False,
                    timeout=urllib3.Timeout(total=deadline.seconds_left()),
                )  # fmt: skip
                self.clock.note(answer.headers.get("Date"), sent, time.time())
                with answer:
                    content = _read_bounded(answer, path, deadline)
                return int(answer.status), content, answer.headers
            except urllib3.exceptions.HTTPError as error:
                problem = _problem(error, f"{method} {self.server}{path}", deadline)
                if problem.kind != "reset" or number == tries or deadline.expired:
                    raise EvidenceProblem(problem) from None
                deadline.note(f"{method} {path}: the connection broke; the request was repeated")
        raise AssertionError("not reached")

    def _credentials(self) -> dict[str, str]:
        """The Authorization header; asks an exec plug-in again where its token is over."""
        value = self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if value is None and self._configuration.username:
            value = self._configuration.get_basic_auth_token()
        if not value:
            return {}
        token = str(value).rpartition(" ")[2]
        if len(token) >= 6:
            self._context.redactor.add(token)
        return {"Authorization": str(value)}


def api(context: Context, deadline: Deadline) -> Api:
    """The API of the environment's cluster, connected once in a run; raises EvidenceProblem."""
    settings = context.environment.kubernetes
    if settings is None:
        raise EvidenceProblem(Problem("configuration", "no kubernetes is declared"))
    return context.once(("kubernetes",), lambda: Api(settings, context), deadline)


def now(context: Context, deadline: Deadline) -> float:
    """Epoch seconds by the API server's clock, as its newest answer told it: to be asked after a list, not before."""
    return api(context, deadline).clock.now()


def listed(
    kind: str, path: str, context: Context, deadline: Deadline, take: Callable[[Object], Any],
    decode: Decode | None = None, **query: str,
) -> list[Any]:
    """One list of the cluster, read once for all that want it; kind: which reading of it (`take`) is meant."""

    def ask() -> list[Any]:
        return api(context, deadline).items(path, deadline, take, decode, **query)

    return context.once(("kubernetes-list", kind, path), ask, deadline)


def _configuration(settings: Kubernetes, context: Context) -> Any:
    try:
        from kubernetes import client, config

        from pytest_prodcheck.evidence.kubernetes.kubeconfig import load_kubeconfig
    except ImportError:
        hint = "pip install 'pytest-prodcheck[kubernetes]'"
        raise EvidenceProblem(Problem("missing-extra", ("requests to Kubernetes need "
            "its Python client"), hint, _API)) from None
    made = client.Configuration()
    file = str(context.root / settings.kubeconfig) if settings.kubeconfig else None
    try:
        if file is None and settings.context is None and _in_pod():
            config.load_incluster_config(client_configuration=made)
        else:
            load_kubeconfig(file, settings.context, made, context.passed)
    except EvidenceProblem:
        raise
    except Exception as error:  # the client raises of its own kinds, yaml's, OSError, what a plug-in's program left
        what = f"the kubeconfig cannot be used: {plain(str(error), 500)}"
        hint = "set kubernetes.context and kubernetes.kubeconfig; `kubectl config get-contexts` lists the contexts"
        raise EvidenceProblem(Problem("configuration", what, hint, _API)) from None
    _refuse_unverified(made)
    made.retries = False
    return made


def _refuse_unverified(made: Any) -> None:
    """Raises EvidenceProblem where nobody checks who answers; HTTP on this machine is that of `kubectl proxy`."""
    from urllib.parse import urlsplit

    parts = urlsplit(made.host)
    how = "" if made.verify_ssl else "insecure-skip-tls-verify"
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        how = "a `server` without TLS"
    if how:
        hint = "set `server` to its https address, and the cluster's certificate-authority"
        what = f"the kubeconfig has {how}: the answers could come from any server"
        raise EvidenceProblem(Problem("configuration", what, hint, _API))


def _in_pod() -> bool:
    import os

    return "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("KUBECONFIG")


def _read_bounded(answer: Any, path: str, deadline: Deadline) -> bytes:
    parts, size = [], 0
    for part in answer.stream(1024 * 1024):
        size += len(part)
        parts.append(part)
        if size > LARGEST:
            raise EvidenceProblem(Problem("too-large", f"GET {path}: an answer of more than {LARGEST} bytes"))
        deadline.seconds_left()
    return b"".join(parts)


def _read(method: str, path: str, status: int, content: bytes, decode: Decode | None = None) -> Object:
    try:
        document = (decode or _decoded)(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        problem = Problem("protocol", f"{method} {path}: answered {status} with no JSON object")
        raise EvidenceProblem(problem) if 200 <= status < 300 else Unwanted(status, problem)
    if 200 <= status < 300:
        return document
    said = plain(str(document.get("message", "")), 500)
    if status in (401, 403):
        hint = "`prodcheck grants --kubernetes` prints the permissions that prodcheck needs" if status == 403 else ""
        at = _API if status == 401 else ""
        raise Unwanted(status, Problem("denied", f"{method} {path}: {status}: {said}", hint, at))
    raise Unwanted(status, Problem("protocol", f"{method} {path}: answered {status}: {said}"))


def _decoded(content: bytes) -> object:
    """JSON holds no circles, yet the garbage collector would walk through a page many times while it is made."""
    with _DECODING:
        collects = gc.isenabled()
        gc.disable()
        try:
            return json.loads(content)
        finally:
            if collects:
                gc.enable()


def _page(path: str, status: int, content: bytes, decode: Decode) -> Object:
    """A page of a list; raises ListExpired, EvidenceProblem."""
    if status == 410:
        raise ListExpired
    page = _read("GET", path, status, content, decode)
    items = page.get("items")
    if not isinstance(items, list) and not (items is None and str(page.get("kind", "")).endswith("List")):
        raise EvidenceProblem(Problem("protocol", f"GET {path}: the answer is not a list"))
    return page


def _continue_token(content: bytes) -> str:
    """What the page after this one is asked by, where it stands before the items, as API servers write it."""
    found = _HEAD.match(content)
    return str(json.loads(found[1]).get("continue") or "") if found else ""


def _retry_delay(retry_after: str | None, number: int) -> float:
    """Seconds: what the server asks for, at most 5, else 0.2, 0.4, 0.8."""
    if retry_after and retry_after.isdecimal():
        return min(float(retry_after), 5.0)
    return float(0.1 * 2**number)


def _problem(error: Exception, what: str, deadline: Deadline) -> Problem:
    from pytest_prodcheck.evidence.network.failures import classify

    return replace(classify(error, what, deadline, "the API server"), at=_API)
