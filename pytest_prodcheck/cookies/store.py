"""The cookies of one visitor: what is kept of answers (RFC 6265bis, 5.7), and sent where (5.8)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from pytest_prodcheck.cookies.parsing import (
    Cookie,
    domain_matches,
    expires_at,
    is_address,
    is_public_suffix,
    parse,
    refused,
    site_of,
)

Headers = Iterable[tuple[str, str]]


class Refusal(NamedTuple):
    """One cookie that browsers do not take, and why."""

    name: str
    why: str


class _RequestPlace(NamedTuple):
    secure: bool
    host: str
    path: str


@dataclass(frozen=True)
class _StoredCookie:
    name: str
    value: str = field(repr=False)
    domain: str
    host_only: bool
    path: str
    secure: bool
    same_site: str
    end: float | None  # epoch seconds
    born: int  # counts up


class CookieStore:
    """Thread-safe. URLs are absolute, with names as A-labels."""

    def __init__(self, tls_in_front: bool = False) -> None:
        """tls_in_front: users come over TLS, which ends before the servers that we ask over plain HTTP."""
        self._tls_in_front = tls_in_front
        self._kept: dict[tuple[str, str, bool, str], _StoredCookie] = {}
        self._lock = threading.Lock()
        self._born = 0

    def take(self, url: str, headers: Headers, now: float | None = None) -> list[Refusal]:
        """Takes what an answer to `url` sets or removes; what it did not take."""
        place, now = self._place(url), time.time() if now is None else now
        left: list[Refusal] = []
        with self._lock:
            for line in _lines(headers):
                cookie = parse(line, now)
                why = _unreadable(line) if cookie is None else refused(cookie, place.host, place.secure)
                if cookie is not None and not why:
                    why = self._store_cookie(cookie, place, now)
                if why:
                    left.append(Refusal(cookie.name if cookie else line.partition("=")[0][:60].strip(), why))
        return left

    def _place(self, url: str) -> _RequestPlace:
        place = _place(url)
        return place._replace(secure=True) if self._tls_in_front else place

    def _store_cookie(self, cookie: Cookie, place: _RequestPlace, now: float) -> str:
        """Keeps or removes one cookie; why not, "" where done."""
        domain, host_only = cookie.domain or place.host, not cookie.domain
        if not host_only and (is_address(domain) or is_public_suffix(domain)):
            host_only = True  # of the host that is an address, or the suffix itself (5.7, step 9)
        path = cookie.attributes.get("path", "")
        path = path if path.startswith("/") else _default_path(place.path)
        if not place.secure and not cookie.secure and self._guarded(cookie.name, domain, path):
            return "a cookie of that name has Secure, and this one came over plain HTTP"
        end = expires_at(cookie.attributes, now)
        key = (cookie.name, domain, host_only, path)
        if end is not None and end <= now:
            self._kept.pop(key, None)
            return ""
        self._born += 1
        before = self._kept.get(key)  # by the RFC any cookie keeps its place, in Chromium one of the same value
        born = before.born if before is not None and before.value == cookie.value else self._born
        self._kept[key] = _StoredCookie(
            cookie.name, cookie.value, domain, host_only, path, cookie.secure, cookie.same_site, end, born
        )
        return ""

    def _guarded(self, name: str, domain: str, path: str) -> bool:
        return any(
            each.secure
            and each.name == name
            and (domain_matches(domain, each.domain) or domain_matches(each.domain, domain))
            and _path_matches(path, each.path)
            for each in self._kept.values()
        )

    def sent(
        self, url: str, now: float | None = None, *, caused_by: str = "", unsafe: bool = False
    ) -> list[tuple[str, str]]:
        """Names and values that a request for a page at `url` carries, in order.

        caused_by: address of the page whose form or link leads there, also by way of redirects; "": typed by a person.
        unsafe: by POST. Cookies that say nothing of SameSite are sent, as Chromium does within their first two minutes.
        """
        place, now = self._place(url), time.time() if now is None else now
        kept_back = self._kept_back(place, caused_by, unsafe)
        with self._lock:
            fitting = [each for each in self._kept.values()
                       if _is_sent_to(each, place, now) and each.same_site not in kept_back]  # fmt: skip
        fitting.sort(key=lambda each: (-len(each.path), each.born))
        return [(each.name, each.value) for each in fitting]

    def _kept_back(self, place: _RequestPlace, caused_by: str, unsafe: bool) -> tuple[str, ...]:
        """The values of SameSite whose cookies another site's page does not have sent (RFC 6265bis, 5.8.3)."""
        if not caused_by:
            return ()
        other = self._place(caused_by)
        if (other.secure, site_of(other.host)) == (place.secure, site_of(place.host)):
            return ()
        return ("strict", "lax") if unsafe else ("strict",)

    def header(self, url: str, now: float | None = None, *, caused_by: str = "", unsafe: bool = False) -> str:
        """The value of `Cookie` for a request to `url`, "" for none."""
        sent = self.sent(url, now, caused_by=caused_by, unsafe=unsafe)
        return "; ".join(f"{name}={value}" if name else value for name, value in sent)

    def values(self, name: str = "") -> list[str]:
        """Values that are kept: of one name, else of all."""
        with self._lock:
            return [each.value for each in self._kept.values() if name in ("", each.name)]

    def where(self, name: str) -> str:
        """Where a cookie of that name is sent, for people; "" where none is kept."""
        with self._lock:
            found = next((each for each in self._kept.values() if each.name == name), None)
        if found is None:
            return ""
        return f"{found.domain}{found.path}{' over TLS' if found.secure else ''}"


def refusals(url: str, headers: Headers, tls_in_front: bool = False) -> list[Refusal]:
    """The cookies of one answer that browsers with no cookies yet would not take."""
    return CookieStore(tls_in_front).take(url, headers)


def _is_sent_to(kept: _StoredCookie, place: _RequestPlace, now: float) -> bool:
    there = place.host == kept.domain if kept.host_only else domain_matches(place.host, kept.domain)
    fresh = kept.end is None or kept.end > now
    return there and fresh and _path_matches(place.path, kept.path) and (place.secure or not kept.secure)


def _path_matches(path: str, of: str) -> bool:
    """5.1.4."""
    return path == of or (path.startswith(of) and (of.endswith("/") or path[len(of) : len(of) + 1] == "/"))


def _default_path(path: str) -> str:
    return path[: path.rfind("/")] or "/"


def _place(url: str) -> _RequestPlace:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    here = host == "localhost" or host.endswith(".localhost") or host.startswith("127.") or host == "::1"
    return _RequestPlace(parts.scheme == "https" or here, host, parts.path or "/")


def _lines(headers: Headers) -> list[str]:
    return [value for name, value in headers if name.lower() == "set-cookie"]


def _unreadable(line: str) -> str:
    return "it holds a control character" if line.partition(";")[0].strip(" \t=") else ""
