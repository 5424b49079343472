"""What targets say, made fit for messages and records: no control characters, no secrets, bounded."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

BLANK = "[redacted]"
MOST_FIELD = 131_072  # characters: a head has no more, and a policy that was cut would be another one
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_SECRET_NAME = re.compile(
    r"token|secret|passw|pwd|api[-_]?key|auth|session|sid\b|signature|\bsig\b|jwt|credential|code|ticket", re.I
)
_SECRET_HEADERS = {"authorization", "proxy-authorization", "x-api-key", "x-auth-token", "cookie", "authentication-info"}
# an address without login and query
_NOTHING_TO_HIDE = re.compile(r"https?://[a-zA-Z0-9.:\[\]-]+(?:/[A-Za-z0-9._~!$&'()*+,;=:@/%-]*)?")
_COOKIE_VALUE = re.compile(r"^(\s*[^=;,\s]+=)[^;]*")


def plain(text: str, longest: int = 300) -> str:
    """Text on one line, without control characters, at most `longest` characters."""
    text = _CONTROL.sub(" ", text[: longest * 4]).strip()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def url(address: str) -> str:
    """An address whose query values of secret-looking names are blanked, as are user names and fragments."""
    if len(address) <= 2000 and _NOTHING_TO_HIDE.fullmatch(address):
        return address
    try:
        parts = urlsplit(address)
    except ValueError:
        return plain(address)
    query = "".join(map(_blank_value, re.split("([&;])", parts.query)))
    netloc = parts.netloc.rpartition("@")[2]
    return plain(urlunsplit((parts.scheme, netloc, parts.path, query, "")), 2000)


def _blank_value(pair: str) -> str:
    name, there, _ = pair.partition("=")
    return f"{name}={BLANK}" if there and _SECRET_NAME.search(name) else pair


def is_secret_name(name: str) -> bool:
    """Whether a name, or a text with names, looks like that of a secret."""
    return bool(_SECRET_NAME.search(name)) or name.lower() in _SECRET_HEADERS


def headers(received: list[tuple[str, str]], redact: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    """Headers as they may be kept: cookies and credentials blanked, their attributes left."""
    return tuple((plain(name, 200), _header(name.lower(), value, redact)) for name, value in received)


def _header(name: str, value: str, redact: Callable[[str], str]) -> str:
    if name in _SECRET_HEADERS:
        return BLANK
    if name in ("set-cookie", "set-cookie2"):
        value = _COOKIE_VALUE.sub(rf"\g<1>{BLANK}", value, count=1)
    elif name in ("location", "content-location", "refresh"):
        value = url(value)
    return plain(redact(value), MOST_FIELD)
