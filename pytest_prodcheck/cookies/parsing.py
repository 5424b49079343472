"""One `Set-Cookie` field, and why browsers do not take it (RFC 6265bis, 5.6 and 5.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address

SPACE = " \t"
MOST = 4096  # octets of name and value together
# the longest first; those of cookies that no script may set came with Chromium 140 and Firefox 142
_PREFIXES = ("__host-http-", "__host-", "__http-", "__secure-")
MOST_ATTRIBUTE = 1024  # octets of an attribute's value; a longer attribute is ignored
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\D.*)?", re.S)
_DAY, _YEAR = re.compile(r"(\d{1,2})(?:\D.*)?", re.S), re.compile(r"(\d{2,4})(?:\D.*)?", re.S)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DELIMITERS = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")


@dataclass(frozen=True)
class Cookie:
    """One `Set-Cookie` as parsed; attributes in lower case, of a repeated one the last."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    removed: bool = False  # it deletes the cookie, or empties it
    value: str = field(default="", repr=False)

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

    @property
    def domain(self) -> str:
        """The Domain attribute without its leading dot, lower case; "" for none."""
        return self.attributes.get("domain", "").removeprefix(".").lower()


def parse(text: str, now: float) -> Cookie | None:
    """One field (5.6), None for one that browsers ignore. now: epoch seconds, to tell what is deleted."""
    first, *rest = text.split(";")
    name, equals, value = first.partition("=")
    if not equals:
        name, value = "", first
    name, value = name.strip(SPACE), value.strip(SPACE)
    if (not name and not value) or _CONTROL.search(text) or "\t" in name + value:  # the tab: Chromium
        return None
    attributes = {}
    for part in rest:
        key, _, content = part.partition("=")
        if len(content.strip(SPACE).encode("latin-1", "replace")) <= MOST_ATTRIBUTE:
            attributes[key.strip(SPACE).lower()] = content.strip(SPACE)
    end = expires_at(attributes, now)
    gone = not value.strip('"') or (end is not None and end <= now)
    return Cookie(name, attributes, gone, value)


def expires_at(attributes: dict[str, str], now: float) -> float | None:
    """When it ends by its attributes, epoch seconds; None: with the browser's session."""
    age = attributes.get("max-age", "")
    if re.fullmatch(r"-?[0-9]+", age):  # Max-Age goes before Expires (5.7)
        return now + min(int(age[:20]), 400 * 86_400) if int(age[:20]) > 0 else float("-inf")
    return cookie_date(attributes["expires"]) if "expires" in attributes else None


def cookie_date(text: str) -> float | None:
    """Epoch seconds of a date as user agents read it (5.1.1), None where they ignore it."""
    time: tuple[int, ...] | None = None
    day = month = year = None
    for token in _DELIMITERS.split(text):
        if time is None and (found := _TIME.fullmatch(token)):
            time = tuple(int(each) for each in found.groups())
        elif day is None and (found := _DAY.fullmatch(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.fullmatch(token)):
            year = int(found[1]) + (1900 if 70 <= int(found[1]) <= 99 else 2000 if int(found[1]) <= 69 else 0)
    if time is None or day is None or month is None or year is None:
        return None
    if year < 1601:
        return float("-inf")  # Chromium; by the RFC the date would be ignored
    try:
        return datetime(year, month, day, time[0], time[1], time[2], tzinfo=UTC).timestamp()
    except ValueError:
        return None


def refused(cookie: Cookie, host: str, https: bool) -> str:
    """Why browsers do not take it from `host`, "" where they do (5.7). https: or a name of this machine."""
    size = len(cookie.name.encode("latin-1", "replace")) + len(cookie.value.encode("latin-1", "replace"))
    if size > MOST:
        return f"its name and value are {size} octets, more than {MOST}"
    return (
        _refused_domain(cookie.domain, host)
        or _refused_prefix(cookie, https)
        or ("it has Secure and was set over plain HTTP" if cookie.secure and not https else "")
        or ("SameSite=None without Secure" if cookie.same_site == "none" and not cookie.secure and https else "")
        or ("Partitioned without Secure" if "partitioned" in cookie.attributes and not cookie.secure and https else "")
    )


def _refused_domain(domain: str, host: str) -> str:
    if not domain:
        return ""
    if not domain_matches(host.lower(), domain):
        return f"its Domain {domain[:60]} is not the host's"
    if domain != host.lower() and is_public_suffix(domain):
        return f"its Domain {domain[:60]} is a public suffix"
    return ""


def _refused_prefix(cookie: Cookie, https: bool) -> str:
    name = cookie.name.lower() or cookie.value.lower()
    prefix = next((each for each in _PREFIXES if name.startswith(each)), "")
    if not prefix:
        return ""
    shown = (cookie.name or cookie.value)[: len(prefix)]
    if not cookie.name:
        return f"the prefix {shown} without a name"
    if not (cookie.secure and https):
        return f"the prefix {shown} without Secure"
    if prefix.startswith("__host-") and (cookie.domain or cookie.attributes.get("path") != "/"):
        return f"the prefix {shown} with a Domain, or without Path=/"
    if prefix.endswith("http-") and not cookie.http_only:
        return f"the prefix {shown} without HttpOnly"
    return ""


def domain_matches(host: str, domain: str) -> bool:
    """Whether a host is a domain or below it (5.1.3)."""
    return host == domain or (host.endswith(f".{domain}") and not is_address(host))


def is_address(host: str) -> bool:
    """Whether a host is an IP address."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1024)
def is_public_suffix(domain: str) -> bool:
    """Whether strangers register names below it ("co.uk", "github.io"), by Mozilla's list."""
    return bool(_suffixes().is_public(domain))


@lru_cache(maxsize=1024)
def site_of(host: str) -> str:
    """The name below which all is one site ("shop.co.uk" of "www.shop.co.uk"); the host itself where there is none."""
    return host if is_address(host) else str(_suffixes().privatesuffix(host) or host)


@lru_cache(maxsize=1)
def _suffixes():  # type: ignore[no-untyped-def]
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()
