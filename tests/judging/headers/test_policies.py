"""HSTS, framing, referrer policy, content types: as browsers read them."""

from __future__ import annotations

import pytest

from pytest_prodcheck.judging.headers import content_type, framing, hsts, html, referrer
from pytest_prodcheck.judging.headers.fields import listed, parameters
from pytest_prodcheck.judging.headers.findings import Findings

Fields = tuple[tuple[str, str], ...]
NAME = "Strict-Transport-Security"


def fields(name: str, *values: str) -> Fields:
    return tuple((name, each) for each in values)


def verdict(found: Findings) -> str:
    return "failed" if found.failed else "warned" if found.warned else "passed"


@pytest.mark.parametrize(
    ("values", "age", "subdomains", "preload"),
    [
        (("max-age=31536000",), 31536000, False, False),
        (("max-age=31536000; includeSubDomains",), 31536000, True, False),
        (("includeSubDomains; MAX-AGE=1",), 1, True, False),
        ((' ; max-age = "31536000" ; ;',), 31536000, False, False),
        (("max-age=31536000; INCLUDESUBDOMAINS; PreLoad",), 31536000, True, True),
        (("max-age=31536000;includeSubDomains;preload;unknown=x;other",), 31536000, True, True),
        (('max-age=31536000; extra="a;b"',), 31536000, False, False),
        (("max-age=0",), 0, False, False),
        (("max-age=99999999999999999999999999",), 10**12, False, False),
        (("max-age=1", "max-age=2"), 1, False, False),  # 8.1: only the first field
    ],
)
def test_hsts_that_counts(values: tuple[str, ...], age: int, subdomains: bool, preload: bool) -> None:
    """RFC 6797, 6.1: any order, any case, quotes, unknown directives."""
    found = hsts.parse(fields(NAME, *values))
    assert (found.max_age, found.subdomains, found.preload, found.ignored) == (age, subdomains, preload, "")


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("includeSubDomains",),
        ("max-age",),
        ("max-age=",),
        ("max-age=-1",),
        ("max-age=1e9",),
        ("max-age=31536000 includeSubDomains",),
        ("max-age=1; max-age=1",),
        ("max-age=1; Max-Age=2",),
        ("max-age=31536000; includeSubDomains; includeSubDomains",),
        ("max-age=15768000; includeSubDomains, max-age=15768000",),
        ("max age=1",),
        ("rubbish", "max-age=31536000"),  # the first one, although it is rubbish
    ],
)
def test_hsts_that_browsers_ignore(values: tuple[str, ...]) -> None:
    assert hsts.parse(fields(NAME, *values)).ignored


@pytest.mark.parametrize(
    ("values", "count"),
    [
        (("max-age=31536000; includeSubDomains; preload",), 0),
        (("max-age=31536000; preload",), 1),
        (("max-age=31535999; includeSubDomains; preload",), 1),
        (("max-age=300; preload",), 2),
        (("max-age=300", "max-age=301"), 1),
        (("max-age=300", "max-age=300"), 0),
    ],
)
def test_preload_rules(values: tuple[str, ...], count: int) -> None:
    """What https://hstspreload.org asks for: a year, subdomains."""
    assert len(hsts.weaknesses(fields(NAME, *values)).warned) == count


@pytest.mark.parametrize(
    ("options", "policies", "expected"),
    [
        (("DENY",), (), "passed"),
        (("sameorigin",), (), "passed"),
        ((" Deny ",), (), "passed"),
        (("DENY", "DENY"), (), "passed"),
        (("SAMEORIGIN, SAMEORIGIN",), (), "passed"),
        (("DENY", "SAMEORIGIN"), (), "warned"),  # blocked in every frame
        (("SAMEORIGIN, rubbish",), (), "warned"),
        (("ALLOWALL, DENY",), (), "warned"),
        (("rubbish, nonsense",), (), "failed"),
        (("ALLOWALL",), (), "failed"),
        (("ALLOW-FROM https://a.example",), (), "failed"),
        (("DENY;",), (), "failed"),
        (("",), (), "failed"),
        ((), (), "failed"),
        ((), ("frame-ancestors 'none'",), "passed"),
        ((), ("frame-ancestors 'self' https://partner.example",), "passed"),
        ((), ("frame-ancestors",), "passed"),
        ((), ("default-src 'none'",), "failed"),  # no fallback
        (("DENY",), ("frame-ancestors *",), "failed"),  # X-Frame-Options is out of force
        (("DENY",), ("frame-ancestors https:",), "failed"),
        (("DENY",), ("frame-ancestors http://* https://*",), "failed"),
        (("ALLOWALL",), ("frame-ancestors 'none'",), "passed"),
        ((), ("frame-ancestors * 'strict-dynamic'",), "failed"),  # which is about scripts only
        ((), ("frame-ancestors *", "frame-ancestors 'self'"), "passed"),
        ((), ("frame-ancestors *; frame-ancestors 'none'",), "failed"),
        (("DENY",), ("default-src 'self'",), "passed"),
    ],
)
def test_framing(options: tuple[str, ...], policies: tuple[str, ...], expected: str) -> None:
    """CSP Level 3, 6.4.2, and the HTML Standard's algorithm for X-Frame-Options."""
    headers = fields("X-Frame-Options", *options) + fields("Content-Security-Policy", *policies)
    assert verdict(framing.judged(headers)) == expected


def test_framing_is_not_guarded_by_what_is_only_reported() -> None:
    assert framing.judged(fields("Content-Security-Policy-Report-Only", "frame-ancestors 'none'")).failed
    both = fields("Content-Security-Policy-Report-Only", "frame-ancestors *") + fields("X-Frame-Options", "DENY")
    assert framing.judged(both) == Findings()


@pytest.mark.parametrize(
    ("values", "metas", "expected"),
    [
        (("no-referrer",), (), "passed"),
        (("SAME-ORIGIN",), (), "passed"),
        (("strict-origin",), (), "passed"),
        (("strict-origin-when-cross-origin",), (), "passed"),
        (("no-referrer, strict-origin-when-cross-origin",), (), "passed"),
        (("unsafe-url, no-referrer",), (), "passed"),  # the last one counts
        (("no-referrer, whimsy",), (), "passed"),
        (("origin",), (), "warned"),
        (("origin-when-cross-origin",), (), "warned"),
        ((), (), "warned"),
        (("whimsy",), (), "warned"),
        (("",), (), "warned"),
        (("unsafe-url",), (), "failed"),
        (("no-referrer-when-downgrade",), (), "failed"),
        (("no-referrer", "unsafe-url"), (), "failed"),
        (("no-referrer",), ("unsafe-url",), "failed"),
        (("unsafe-url",), ("no-referrer",), "passed"),
        ((), ("always",), "failed"),
        ((), ("never",), "passed"),
        (("never",), (), "warned"),  # old words count in <meta> only
        (("no-referrer",), ("whimsy",), "passed"),
    ],
)
def test_referrer(values: tuple[str, ...], metas: tuple[str, ...], expected: str) -> None:
    """Referrer Policy, 8.1 and 4.1; the HTML Standard's old words."""
    assert verdict(referrer.judged(fields("Referrer-Policy", *values), metas)) == expected


def test_referrer_and_generator_in_pages() -> None:
    head = html.head_of('<meta name=Referrer content=origin><meta name="generator" content="WordPress 6.1">')
    assert (head.referrer, head.generator) == (["origin"], "WordPress 6.1")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("nosniff",), True),
        (("NoSniff",), True),
        (("nosniff", "nosniff"), True),
        (("nosniff, sniff",), True),
        (("sniff", "nosniff"), False),
        ((", nosniff",), False),
        (("nosniff;",), False),
        (('"nosniff"',), False),
        (("",), False),
        ((), False),
    ],
)
def test_nosniff(values: tuple[str, ...], expected: bool) -> None:
    """Fetch, "determine nosniff"; the cases of WPT's parsing-nosniff."""
    assert content_type.nosniff(fields("X-Content-Type-Options", *values)) is expected


@pytest.mark.parametrize(
    ("values", "size", "body", "expected"),
    [
        (("text/html; charset=utf-8",), 9, "<p>a</p>", "passed"),
        (("application/json",), 9, '{"a": 1}', "passed"),
        ((), 0, "", "passed"),
        ((), 9, "a", "failed"),
        (("html",), 9, "a", "failed"),
        (("*/*",), 9, "a", "failed"),
        (("unknown/unknown",), 9, "a", "failed"),
        (("text/html",), 8, '{"a": "<script>"}', "failed"),
        (("text/html",), 8, '["a"]', "failed"),
        (("text/html",), 8, "{{ template }}", "passed"),
        (("text/html",), 8, None, "passed"),
        (("text/plain", "text/html"), 9, "a", "warned"),
        (("text/html", "text/html; charset=utf-8"), 9, "<p>", "passed"),
    ],
)
def test_content_type(values: tuple[str, ...], size: int, body: str | None, expected: str) -> None:
    headers = fields("Content-Type", *values) + fields("X-Content-Type-Options", "nosniff")
    assert verdict(content_type.judged(headers, size, body)) == expected


def test_where_no_browser_is_expected_guesses_only_warn() -> None:
    assert verdict(content_type.judged((), 9, "a", browsers=False)) == "warned"
    json_as_page = fields("Content-Type", "text/html")
    assert verdict(content_type.judged(json_as_page, 9, '{"a": 1}', browsers=False)) == "failed"


def test_lists_are_split_as_fetch_does() -> None:
    assert listed(fields("A", 'a, "b, c"', "d"), "a") == ("a", '"b, c"', "d")
    assert listed(fields("A", ""), "A") == ("",)
    assert listed((), "A") is None
    assert listed(fields("A", 'a, "never closed, b'), "A") == ("a", '"never closed, b')
    assert parameters('a=1; b="x;y"; C ;; d = "e\\"f"') == [("a", "1"), ("b", "x;y"), ("c", None), ("d", 'e"f')]
