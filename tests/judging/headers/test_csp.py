"""Content-Security-Policy: parsing and judgement, by CSP Level 3 and by what Mozilla's Observatory says of the same."""

from __future__ import annotations

import pytest

from pytest_prodcheck.judging.headers import csp, csp_rules, html

Fields = tuple[tuple[str, str], ...]
NONCE = "'nonce-bm90LWEtc2VjcmV0LWF0LWFsbA=='"
HASH = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"


def fields(*policies: str, only_reported: tuple[str, ...] = ()) -> Fields:
    enforced = tuple(("Content-Security-Policy", each) for each in policies)
    return (*enforced, *(("content-security-policy-report-only", each) for each in only_reported))


def verdict(headers: Fields, metas: tuple[str, ...] = ()) -> str:
    found = csp_rules.judged(csp.policies(headers, metas))
    return "failed" if found.failed else "warned" if found.warned else "passed"


@pytest.mark.parametrize(
    ("policy", "directives"),
    [
        ("default-src 'self'", {"default-src": ("'self'",)}),
        ("DEFAULT-SRC 'None'", {"default-src": ("'None'",)}),
        (";; ;default-src 'self';;", {"default-src": ("'self'",)}),
        ("script-src\t'self'\n  https://a.example", {"script-src": ("'self'", "https://a.example")}),
        ("script-src 'none'; Script-Src *", {"script-src": ("'none'",)}),
        ("script-src", {"script-src": ()}),
        ("script-src 'self' \u00e9; img-src *", {"img-src": ("*",)}),
        ("", {}),
        (";", {}),
        ("upgrade-insecure-requests", {"upgrade-insecure-requests": ()}),
    ],
)
def test_one_policy_is_parsed(policy: str, directives: dict[str, tuple[str, ...]]) -> None:
    """2.2.1: names know no case, the first of two counts, what is not ASCII is dropped."""
    assert dict(csp.parse(policy).directives) == directives


@pytest.mark.parametrize(
    ("headers", "metas", "count"),
    [
        (fields("default-src 'self', script-src 'none'"), (), 2),
        (fields("default-src 'self'", "script-src 'none'"), (), 2),
        (fields("default-src 'self',, ,"), (), 1),
        (fields(""), (), 0),
        (fields(only_reported=("default-src 'self'",)), (), 1),
        ((), ("default-src 'self'; frame-ancestors 'none'",), 1),
        ((), ("frame-ancestors 'none'; sandbox; report-uri /x",), 0),
        ((("X-Content-Security-Policy", "default-src 'none'"), ("X-WebKit-CSP", "default-src 'none'")), (), 0),
    ],
)
def test_policies_of_a_page_are_counted(headers: Fields, metas: tuple[str, ...], count: int) -> None:
    """2.2.3 and 3.3: fields are lists, <meta> leaves some directives out, the old fields are none."""
    assert len(csp.policies(headers, metas)) == count


PASSED = [
    "default-src 'none'",
    "default-src 'self'",
    "default-src",  # no source at all is 'none'
    "default-src https://a.example",
    "default-src 'none'; script-src 'self' https://cdn.example",
    "default-src 'self'; style-src 'unsafe-inline'",  # styles only
    "default-src 'self'; img-src * data:; media-src http:",
    f"default-src 'self'; script-src {NONCE}; base-uri 'none'",
    f"default-src 'self'; script-src {NONCE} 'unsafe-inline'; base-uri 'self'",
    f"object-src 'none'; script-src {NONCE} 'strict-dynamic' https: 'unsafe-inline'; base-uri 'none'",
    f"default-src 'self'; script-src {HASH} 'unsafe-inline'; base-uri 'none'",
    f"default-src 'self'; script-src {HASH.upper().replace('SHA256', 'sha256')}; base-uri 'none'",
    "default-src 'none'; script-src 'strict-dynamic'",  # nothing runs
    "script-src 'none'; object-src 'none'",
    "script-src-elem 'self'; script-src-attr 'none'; default-src 'self'",
    "default-src *; script-src 'self'; object-src 'none'",
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'",
    "default-src 'self'; script-src https://*.example.com:443/js/",
    "default-src 'self'; script-src 'self' 'report-sample'; require-trusted-types-for 'script'; trusted-types a",
    "default-src 'self'; report-uri /csp; report-to csp; upgrade-insecure-requests; block-all-mixed-content",
]
WARNED = [
    "default-src 'self' 'unsafe-inline'",
    "default-src 'self' 'UNSAFE-INLINE'",
    "default-src 'self'; script-src 'self' 'unsafe-eval'",
    "script-src 'self'",  # plug-ins, in Observatory's eyes as bad as inline
    f"default-src 'self'; script-src {NONCE}",  # base-uri
    f"default-src 'self'; script-src {HASH}; base-uri *",
    "default-src 'self'; script-src 'nonce-abc123'; base-uri 'none'",  # short
    "default-src 'self'; script-src 'nonce-' 'unsafe-inline'; base-uri 'none'",  # no nonce, so inline runs
    "default-src 'self'; script-src 'nonce-<?php>' 'unsafe-inline'; base-uri 'none'",
    "default-src 'self'; script-src-attr 'unsafe-inline'",
    "default-src 'self'; default-src 'none'",
    "default-src 'self'; scripts-src 'none'",
    "default-src self",  # a host of that name
    "default-src 'self'; script-src unsafe-inline",
    "default-src 'self'; script-src nonce-bm90LWEtc2VjcmV0LWF0LWFsbA==",
    "default-src 'self'; object-src *",
]
FAILED = [
    "",
    "defa",
    "upgrade-insecure-requests",
    "frame-ancestors 'none'",
    "img-src 'self'; style-src 'self'",
    "default-src *",
    "default-src https:",
    "script-src http:; object-src 'none'",
    "script-src https://*; object-src 'none'",
    "script-src http://*:8080; object-src 'none'",
    "script-src *:443; object-src 'none'",
    "script-src 'self' *; object-src 'none'",
    "script-src data:; object-src 'none'",
    "script-src 'self' DATA:; object-src 'none'",
    "default-src 'none'; script-src *; script-src 'none'",  # the first counts
    "default-src 'none'; script-src-elem *",
    f"default-src 'self'; script-src {NONCE} https:; base-uri 'none'",  # without 'strict-dynamic' https: counts
]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        *((each, "passed") for each in PASSED),
        *((each, "warned") for each in WARNED),
        *((each, "failed") for each in FAILED),
    ],
)
def test_one_policy_is_judged(policy: str, expected: str) -> None:
    assert verdict(fields(policy)) == expected, csp_rules.judged(csp.policies(fields(policy)))


@pytest.mark.parametrize(
    ("headers", "metas", "expected"),
    [
        ((), (), "failed"),
        (fields(only_reported=("default-src 'none'",)), (), "failed"),
        (fields("default-src 'self'", only_reported=("default-src *",)), (), "passed"),
        # each alone lets something through, together they do not
        (fields("script-src 'self'", "object-src 'none'"), (), "passed"),
        (fields("script-src *; object-src 'none'", "script-src 'self'"), (), "passed"),
        (fields("default-src 'self' 'unsafe-inline'", f"script-src {NONCE}; base-uri 'none'"), (), "passed"),
        (fields("default-src 'self' 'unsafe-inline', script-src 'self' 'unsafe-eval'"), (), "passed"),
        (fields("default-src *", "default-src https:"), (), "failed"),
        (fields("default-src 'self' 'unsafe-inline'", "script-src 'unsafe-inline' 'self'"), (), "warned"),
        (fields("frame-ancestors 'none'"), ("default-src 'self'",), "passed"),
        (fields(), ("script-src 'self' 'unsafe-inline'; object-src 'none'",), "warned"),
        (fields(), ("frame-ancestors 'none'",), "failed"),
    ],
)
def test_several_policies_are_judged_together(headers: Fields, metas: tuple[str, ...], expected: str) -> None:
    """4.1: what one enforced policy forbids is forbidden."""
    assert verdict(headers, metas) == expected


def test_a_nonce_must_be_new_each_time() -> None:
    one, other = (csp.policies(fields(f"script-src 'nonce-{each}'")) for each in ("QUFB", "QkJC"))
    assert csp_rules.same_nonce([one, one])
    assert not csp_rules.same_nonce([one, other])
    assert not csp_rules.same_nonce([one])
    assert not csp_rules.same_nonce([(), ()])


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<head><meta http-equiv="Content-Security-Policy" content="a"></head>', ["a"]),
        ("<META HTTP-EQUIV='content-security-policy' CONTENT='a'>", ["a"]),
        ('<meta content="a" http-equiv="content-security-policy"/><meta http-equiv=Content-Security-Policy content=b>',
         ["a", "b"]),
        ('<body><meta http-equiv="Content-Security-Policy" content="a">', []),
        ('<!-- <meta http-equiv="Content-Security-Policy" content="a"> -->', []),
        ('<script>"<meta http-equiv=Content-Security-Policy content=a>"</script>', []),
        ('<meta http-equiv="Content-Security-Policy-Report-Only" content="a">', []),
        ('<meta http-equiv="Content-Security-Policy" content="default-src &#39;self&#39;">', ["default-src 'self'"]),
        ("<meta", []),
    ],
)  # fmt: skip
def test_policies_in_pages_are_found(page: str, expected: list[str]) -> None:
    assert html.head_of(page).csp == expected
