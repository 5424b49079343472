"""From an address: a few GET requests to where services usually tell their health, revision and OpenAPI document."""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.proposals.openapi import endpoints_of
from pytest_prodcheck.proposals.proposal import CannotPropose, Proposal, name_of

HEALTH = (
    "/healthz", "/health", "/livez", "/readyz", "/health/live", "/actuator/health", "/api/health", "/-/healthy",
    "/status", "/ping",
)  # fmt: skip
VERSION = (
    "/version",
    "/version.json",
    "/api/version",
    "/actuator/info",
    "/api/v1/status/buildinfo",
    "/build-info.json",
)
OPENAPI = ("/openapi.json", "/v3/api-docs", "/api/openapi.json", "/swagger.json")
_REVISIONS = ("revision", "git_sha", "gitsha", "git_commit", "gitcommit", "commit", "sha", "version")
_TIMEOUT = 5.0  # seconds of one request
MOST_SECONDS = 60.0  # for all requests together
_LARGEST = 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """One answer; url: where it came from. media: its type without parameters."""

    url: str
    status: int
    media: str
    body: bytes
    location: str = ""

    @property
    def is_good(self) -> bool:
        """Whether a program reads it: 200, and no page for people."""
        return self.status == 200 and self.media not in ("text/html", "application/xhtml+xml")

    def json(self) -> Any:
        """Its JSON, None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


def from_address(address: str, ca: str | None = None) -> Proposal:
    """ca: file with the CA certificates to trust, the system's for None.

    Raises CannotPropose where nothing answers there, or not in time.
    """
    asking = _Asking(ca)
    (found,) = side_by_side([lambda: _proposed(address, asking)], MOST_SECONDS)
    if found is None:
        raise CannotPropose(f"{asking.last}: too slow: nothing can be proposed within {MOST_SECONDS:g} s")
    return found


def _proposed(address: str, asking: _Asking) -> Proposal:
    parts = urlsplit(address)
    if not parts.hostname:
        raise CannotPropose(f"{address}: expected an address such as https://shop.example")
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    front = _front_page(base, asking)
    base = front.url.rstrip("/")
    nothing = asking.get(f"{base}/prodcheck-{secrets.token_hex(6)}")
    everywhere = nothing.body if nothing.is_good else None  # an application that answers all paths alike
    service: dict[str, Any] = {"url": base}
    notes = []
    health = next((path for path, each in _good_answers(asking, base, HEALTH, everywhere)), "")
    if health:
        service["health"] = health
    else:
        notes.append("no health page was found: add `health`.")
    paths = (*VERSION, health) if health else VERSION  # a health page often tells the version too
    version = next(_versions(asking, base, paths, everywhere), None)
    if version is not None:
        service["version"] = version
    else:
        notes.append("no page reports the revision, so an old revision would not be detected: add `version`.")
    if front.status < 400:
        home = {"request": "GET /", "status": front.status}
        service["endpoints"] = {"home": home | ({"content_type": front.media} if front.media else {})}
    for path, each in _good_answers(asking, base, OPENAPI, everywhere):
        document = each.json()
        if isinstance(document, dict) and ("openapi" in document or "swagger" in document):
            service["openapi"] = path
            service["endpoints"] = service.get("endpoints", {}) | endpoints_of(document)
            break
    host = urlsplit(base).hostname or ""
    name = name_of(host.removeprefix("www.").partition(".")[0] if not _is_address(host) else "service")
    return Proposal(name, not _is_here(host), {"services": {name: service}}, notes)


def _front_page(base: str, asking: _Asking) -> Answer:
    """The first page, redirects followed within the host's own names; raises CannotPropose."""
    url, host = f"{base}/", urlsplit(base).hostname or ""
    for _ in range(4):
        answer = asking.get(url)
        target = urlsplit(urljoin(url, answer.location))
        near = {host, f"www.{host}", host.removeprefix("www.")}
        moved = (target.scheme, target.netloc) != (urlsplit(url).scheme, urlsplit(url).netloc)
        if not answer.location or not moved or target.hostname not in near:
            return Answer(url, answer.status, answer.media, answer.body)
        url = f"{target.scheme}://{target.netloc}/"
    raise CannotPropose(f"{base}: too many redirects")


def _good_answers(
    asking: _Asking, base: str, paths: tuple[str, ...], everywhere: bytes | None
) -> Iterator[tuple[str, Answer]]:
    for path in paths:
        answer = asking.get(base + path)
        if answer.is_good and answer.body != everywhere:
            yield path, answer


def _versions(
    asking: _Asking, base: str, paths: tuple[str, ...], everywhere: bytes | None
) -> Iterator[dict[str, Any]]:
    for path, answer in _good_answers(asking, base, paths, everywhere):
        found = sorted(_pointers(answer.json()))
        if found:
            yield {"path": path, "pointer": found[0][1]}


def _pointers(value: Any, at: str = "", depth: int = 0) -> Iterator[tuple[int, str]]:
    """Rank and JSON pointer of each text that may be a revision."""
    if not isinstance(value, dict) or depth > 3:
        return
    for key, inner in list(value.items())[:50]:
        here = f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}"
        if isinstance(inner, str) and inner and str(key).lower() in _REVISIONS:
            yield _REVISIONS.index(str(key).lower()), here
        yield from _pointers(inner, here, depth + 1)


class _Asking:
    """Asks by GET, without a login; last: what was asked last."""

    def __init__(self, ca: str | None) -> None:
        self._ca, self.last = ca, ""

    def get(self, url: str) -> Answer:
        """Raises CannotPropose where nothing answers."""
        import requests

        self.last = url
        try:
            with requests.get(
                url, timeout=_TIMEOUT, allow_redirects=False, stream=True, headers={"User-Agent": "prodcheck"},
                auth=lambda request: request,  # nothing of ~/.netrc
                verify=self._ca or True,
            ) as got:  # fmt: skip
                body = next(got.iter_content(_LARGEST), b"")
                media = got.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                return Answer(url, got.status_code, media, body, got.headers.get("Location", ""))
        except requests.exceptions.SSLError as error:
            found = re.search(r"certificate verify failed: ([^()]{1,200})", str(error))
            why = f": {found[1].strip()}" if found else ""
            hint = f"{self._ca} does not vouch for it" if self._ca else "for a private CA: --ca FILE"
            raise CannotPropose(f"{url}: its certificate is not trusted{why}; {hint}") from None
        except requests.RequestException as error:
            raise CannotPropose(f"{url} cannot be reached: {type(error).__name__}") from None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_here(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
