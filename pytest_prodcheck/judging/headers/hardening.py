"""What a page may ask of browsers besides: isolation from other windows (HTML, 7.1.3), Permissions Policy.

Healthy sites do without some of it, so all of this warns at most, and what breaks ordinary pages (COEP) is not missed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pytest_prodcheck.judging.headers import csp_rules
from pytest_prodcheck.judging.headers.csp import Policy
from pytest_prodcheck.judging.headers.fields import Headers, lines, split

OPENER, EMBEDDER = "Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy"
RESOURCE, PERMISSIONS = "Cross-Origin-Resource-Policy", "Permissions-Policy"
_VALUES = {
    OPENER: ("same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"),
    EMBEDDER: ("require-corp", "credentialless", "unsafe-none"),
    RESOURCE: ("same-origin", "same-site", "cross-origin"),
}
_GONE = ("Public-Key-Pins", "Expect-CT", "X-Content-Security-Policy", "X-WebKit-CSP")
_POWERS = ("camera", "microphone", "geolocation", "payment", "usb", "serial", "hid", "bluetooth", "display-capture")
# a dictionary of structured fields (RFC 8941), as far as this field has use for it
_ITEM = (
    r'(?:[A-Za-z*][A-Za-z0-9!#$%&\'*+.^_`|~:/-]*|"[ !#-\[\]-~]*"|\?[01]'
    r'|:[A-Za-z0-9+/=]*:|-?[0-9]{1,15}(?:\.[0-9]{1,3})?)'
)
_PARAMETERS = rf"(?:; *[a-z*][a-z0-9_.*-]*(?:={_ITEM})?)*"
_MEMBER = re.compile(
    rf"([a-z*][a-z0-9_.*-]*)(?:=(\( *(?:{_ITEM}{_PARAMETERS}(?: +{_ITEM}{_PARAMETERS})* *)?\)|{_ITEM}))?{_PARAMETERS}"
)

_EVERYBODY = re.compile(r'(?:\A|[( ])(\*|"\*")(?=[ );]|\Z)')  # also beside others: (self *)


def judged(headers: Headers, policies: Sequence[Policy]) -> Iterable[str]:
    """What could be better, in words."""
    headers = tuple(headers)
    for name, known in _VALUES.items():
        sent = ", ".join(lines(headers, name))
        value = sent.partition(";")[0].strip() if name != RESOURCE else sent
        if sent and value not in known:
            yield f"{name}: {sent[:60]} is none of {', '.join(known)}, so browsers ignore it"
    opener = lines(headers, OPENER)
    if not opener or opener[0].partition(";")[0].strip() == "unsafe-none":
        yield f"{OPENER} is missing: windows of other sites that open the page keep a reference to it"
    yield from _permissions(headers)
    for name in _GONE:
        if lines(headers, name):
            yield f"{name} is obsolete: browsers ignore it"
    yield from csp_rules.extras(policies)


def _permissions(headers: Headers) -> Iterable[str]:
    sent = ", ".join(lines(headers, PERMISSIONS))
    if not sent:
        beside = "; Feature-Policy is its former name" if lines(headers, "Feature-Policy") else ""
        yield f"{PERMISSIONS} is missing: injected frames may request camera, microphone and location{beside}"
        return
    found: dict[str, str] = {}
    for member in split(sent):
        parts = _MEMBER.fullmatch(member)
        if parts is None:
            yield f"{PERMISSIONS} cannot be read at {member[:40]!r}: browsers ignore all of it"
            return
        found[parts[1]] = (parts[2] or "").strip()
    for name in _POWERS:
        if _EVERYBODY.search(found.get(name, "")):
            yield f"{PERMISSIONS}: {name}=*: every frame of every site may request it"
