"""Beside Mozilla's Observatory (1.4.8): the same header sets, and why each verdict that differs does.

data/observatory.json holds what it said of each set; data/observatory.mjs is how it was asked. It has two verdicts;
our `warned` may stand beside either, for it has no third.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_prodcheck.judging.headers import content_type, csp, csp_rules, framing, hsts, referrer
from pytest_prodcheck.judging.headers.findings import Findings, fails

Fields = tuple[tuple[str, str], ...]
ROWS = json.loads((Path(__file__).parent / "data" / "observatory.json").read_text(encoding="utf-8"))
DAY = 86_400

# we fail what it passes: the value -> why
STRICTER = {
    "script-src *:443; object-src 'none'": "every host on one port is every host",
    "default-src 'none'; script-src-elem *": "script-src-elem goes before script-src and default-src",
    "default-src * default-src https:": "two policies that both let every host in do not add up to one",
    "ALLOW-FROM https://a.example": "browsers do not know it",
    "DENY frame-ancestors *": "frame-ancestors puts X-Frame-Options out of force",
    "DENY frame-ancestors https:": "frame-ancestors puts X-Frame-Options out of force",
    "DENY frame-ancestors http://* https://*": "frame-ancestors puts X-Frame-Options out of force",
    "max-age=": "there is no number",
    "max-age=31536000 includeSubDomains": "the semicolon is missing, so max-age is no number",
    "max-age=31536000; includeSubDomains; includeSubDomains": "a directive that exists twice voids the field",
}
# we pass what it fails: the value -> why
MILDER = {
    "default-src 'none'; script-src 'strict-dynamic'": "no script runs; that is a broken page, not an open one",
    "default-src 'self' 'unsafe-inline', script-src 'self' 'unsafe-eval'": "each forbids what the other allows",
    "SAMEORIGIN, SAMEORIGIN": "one value, said twice",
    ' ; max-age = "31536000" ; ;': "quotes, spaces and empty directives are allowed",
    "nosniff, sniff": "the first value counts",
}


def verdict(kind: str, fields: Fields) -> str:
    found: Findings
    if kind == "csp":
        found = csp_rules.judged(csp.policies(fields))
    elif kind == "xfo":
        found = framing.judged(fields)
    elif kind == "referrer":
        found = referrer.judged(fields)
    elif kind == "nosniff":
        found = Findings() if content_type.nosniff(fields) else fails("no")
    else:
        policy = hsts.parse(fields)
        found = hsts.weaknesses(fields) if (policy.max_age or 0) >= DAY else fails(policy.ignored or "short")
    return "failed" if found.failed else "warned" if found.warned else "passed"


@pytest.mark.parametrize(("kind", "fields", "good", "said"), ROWS)
def test_we_agree_or_say_why_not(kind: str, fields: list[list[str]], good: bool, said: str) -> None:
    ours = verdict(kind, tuple((name, value) for name, value in fields))
    text = " ".join(value for _, value in fields)
    if ours == "failed":
        assert good == (text in STRICTER), said
    elif ours == "passed":
        assert good != (text in MILDER), said


def test_enough_was_compared() -> None:
    texts = {" ".join(value for _, value in fields) for _, fields, _, _ in ROWS}
    assert set(STRICTER) | set(MILDER) <= texts
    assert len(ROWS) >= 120
