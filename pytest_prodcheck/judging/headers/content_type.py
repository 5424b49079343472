"""Whether a browser may take an answer for something else (Fetch, "determine nosniff"; WHATWG MIME Sniffing)."""

from __future__ import annotations

import json
import re

from pytest_prodcheck.judging.headers.fields import Headers, lines, listed
from pytest_prodcheck.judging.headers.findings import Findings

_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_SNIFFED = ("", "unknown/unknown", "application/unknown", "*/*")  # MIME Sniffing, 7: these are sniffed
HTML = ("text/html", "application/xhtml+xml")


def nosniff(headers: Headers) -> bool:
    """Whether sniffing is forbidden: only the first value counts."""
    found = listed(headers, "X-Content-Type-Options")
    return found is not None and found[0].lower() == "nosniff"


def media_type(headers: Headers) -> str:
    """Type and subtype in lower case; of several the last valid one (Fetch, "extract a MIME type"), "" for none."""
    found = ""
    for value in listed(headers, "Content-Type") or ():
        essence = value.partition(";")[0].strip()
        if _TYPE.match(essence) and essence != "*/*":
            found = essence.lower()
    return found


def judged(headers: Headers, size: int, body: str | None, browsers: bool = True) -> Findings:
    """What is wrong with the type of an answer with `size` bytes of body; body: its text where it is known.

    browsers: whether any are expected to read it; guesses are their habit, programs take what they came for.
    """
    headers = tuple(headers)
    failed: list[str] = []
    warned: list[str] = []
    guessed = failed if browsers else warned
    sent = lines(headers, "X-Content-Type-Options")
    if not nosniff(headers):
        said = f"X-Content-Type-Options: {', '.join(sent)[:60]}" if sent else "there is no X-Content-Type-Options"
        guessed.append(f"{said}: browsers may guess the type (nosniff has to come first)")
    kind = media_type(headers)
    if size and kind in _SNIFFED:
        guessed.append("the answer has a body and no valid Content-Type")
    if kind in HTML and body is not None and _is_json(body):
        failed.append(f"JSON is sent as {kind}: content of users in it could run as a web page")
    several = {value.partition(";")[0].strip().lower() for value in lines(headers, "Content-Type")}
    if len(several) > 1:
        warned.append(f"Content-Type is sent several times with different values ({', '.join(sorted(several))[:80]})")
    return Findings(tuple(failed), tuple(warned))


def _is_json(body: str) -> bool:
    if body.lstrip()[:1] not in ("{", "["):
        return False
    try:
        return isinstance(json.loads(body), (dict, list))
    except (ValueError, RecursionError):
        return False
