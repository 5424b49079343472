"""Cookies as browsers take or refuse them (RFC 6265bis, 5.6 and 5.7), and what guards a session."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from pytest_prodcheck.judging.headers.fields import SPACE
from pytest_prodcheck.judging.headers.findings import Findings

_SESSION = re.compile(
    r"sess|(?:^|[._-])s?sid$|auth|jwt|token|remember|login|identity|^(?:__host-|__secure-)?connect\.sid", re.I
)
# what scripts have to read (double submit), and what load balancers and CDNs stick clients with
_NO_SESSION = re.compile(
    r"csrf|xsrf|affinity|^awsalb|^arraffinity|^bigip|^ts01|^__cf|^cf_|^incap|^visid|^nlbi|^ak_|^_ga|^_gid|analytics"
    r"|consent", re.I
)  # fmt: skip


@dataclass(frozen=True)
class Cookie:
    """One `Set-Cookie` as parsed; attributes in lower case, of a repeated one the last."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    removed: bool = False  # it deletes the cookie, or empties it

    @property
    def secure(self) -> bool:
        """Whether it goes over TLS only."""
        return "secure" in self.attributes

    @property
    def http_only(self) -> bool:
        """Whether it is hidden from scripts."""
        return "httponly" in self.attributes

    @property
    def same_site(self) -> str:
        """One of "strict", "lax", "none"; "" where it says nothing that browsers know (5.6.7)."""
        word = self.attributes.get("samesite", "").lower()
        return word if word in ("strict", "lax", "none") else ""


def parse(text: str, now: float) -> Cookie | None:
    """One field (5.6), None for one that browsers ignore. now: epoch seconds, to tell what is deleted."""
    first, *rest = text.split(";")
    name, equals, value = first.partition("=")
    if not equals:
        name, value = "", first
    if (not name.strip(SPACE) and not value.strip(SPACE)) or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        return None
    attributes = {}
    for part in rest:
        key, _, content = part.partition("=")
        attributes[key.strip(SPACE).lower()] = content.strip(SPACE)
    gone = not value.strip(SPACE).strip('"') or _ended(attributes, now)
    return Cookie(name.strip(SPACE), attributes, gone)


def _ended(attributes: dict[str, str], now: float) -> bool:
    age = attributes.get("max-age", "")
    if re.fullmatch(r"-?[0-9]+", age):  # Max-Age goes before Expires (5.7)
        return age.startswith("-") or not age.strip("0")
    try:
        return parsedate_to_datetime(attributes["expires"]).timestamp() <= now
    except (KeyError, ValueError, TypeError, OverflowError):
        return False


def is_session(cookie: Cookie, known: Iterable[str]) -> bool:
    """Whether it opens something: named so by the configuration (`known`), else by the look of its name."""
    return cookie.name in known or bool(_SESSION.search(cookie.name) and not _NO_SESSION.search(cookie.name))


def refused(cookie: Cookie, host: str, https: bool) -> str:
    """Why browsers do not take it, "" where they do (5.7, steps on Domain, Secure, SameSite and prefixes)."""
    name = cookie.name.lower()
    domain = cookie.attributes.get("domain", "").lstrip(".").lower()
    if domain and host.lower() != domain and not host.lower().endswith(f".{domain}"):
        return f"its Domain {domain[:60]} is not the host's"
    if cookie.same_site == "none" and not cookie.secure and https:
        return "SameSite=None without Secure"
    if "partitioned" in cookie.attributes and not cookie.secure and https:
        return "Partitioned without Secure"
    for prefix in ("__secure-", "__host-"):
        if name.startswith(prefix) and not (cookie.secure and https):
            return f"the prefix {cookie.name[: len(prefix)]} without Secure"
    if name.startswith("__host-") and (domain or cookie.attributes.get("path") != "/"):
        return f"the prefix {cookie.name[:7]} with a Domain, or without Path=/"
    return ""


def judged(cookie: Cookie, host: str, https: bool, session: bool) -> Findings:
    """What is wrong with one cookie of an answer of `host`."""
    failed: list[str] = []
    warned: list[str] = []
    if why := refused(cookie, host, https):
        failed.append(f"browsers refuse it: {why}")
    elif https and not cookie.secure:
        (failed if session else warned).append("it has no Secure: it goes over plain HTTP too")
    if session and not cookie.http_only:
        failed.append("it has no HttpOnly: every script on the page can read the session")
    if session and not cookie.same_site:
        warned.append("it has no SameSite that browsers know: what they do differs")
    elif session and cookie.same_site == "none":
        warned.append("SameSite=None: requests that other sites cause carry the session")
    return Findings(tuple(failed), tuple(warned))
