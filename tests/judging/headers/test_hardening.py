"""What pages may ask for besides, whose hosts serve anybody's scripts, and what fields tell of the inside."""

from __future__ import annotations

import pytest

from pytest_prodcheck.judging.headers import banners, caching, csp, csp_rules, hardening
from pytest_prodcheck.judging.headers.shared_hosts import anybody_serves

GOOD = (("Cross-Origin-Opener-Policy", "same-origin"), ("Permissions-Policy", "camera=()"))


def findings_text(*more: tuple[str, str]) -> str:
    named = {name for name, _ in more}
    return "; ".join(hardening.judged([*(each for each in GOOD if each[0] not in named), *more], ()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Cross-Origin-Opener-Policy", 'same-origin; report-to="x"'),
        ("Cross-Origin-Opener-Policy", "same-origin-allow-popups"),
        ("Cross-Origin-Embedder-Policy", "require-corp"), ("Cross-Origin-Embedder-Policy", "credentialless"),
        ("Cross-Origin-Resource-Policy", "same-site"),
        ("Permissions-Policy", 'geolocation=(self "https://a.example"), camera=(), fullscreen=*, sync-xhr'),
        ("Permissions-Policy", "camera=();report-to=x, interest-cohort=()"), ("Permissions-Policy", "camera=self"),
    ],
)  # fmt: skip
def test_what_browsers_understand_is_good(name: str, value: str) -> None:
    assert findings_text((name, value)) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Cross-Origin-Opener-Policy", "same-site"), ("Cross-Origin-Opener-Policy", "Same-Origin"),
        ("Cross-Origin-Opener-Policy", "unsafe-none"), ("Cross-Origin-Embedder-Policy", "require-cors"),
        ("Cross-Origin-Resource-Policy", "same-origin, same-origin"), ("Cross-Origin-Resource-Policy", "self"),
        ("Permissions-Policy", "camera 'none'; geolocation 'none'"), ("Permissions-Policy", "camera=(),"),
        ("Permissions-Policy", "camera=('self')"), ("Permissions-Policy", "Camera=()"),
        ("Permissions-Policy", "camera=*"), ("Permissions-Policy", "geolocation=(* self)"),
        ("Expect-CT", "max-age=86400"),
    ],
)  # fmt: skip
def test_what_they_do_not_warns(name: str, value: str) -> None:
    assert name in findings_text((name, value))


def test_what_is_missing_warns_once() -> None:
    found = list(hardening.judged((), ()))
    assert len(found) == 2
    assert not any("Embedder" in each or "Resource" in each for each in found)


@pytest.mark.parametrize(
    ("source", "known"),
    [
        ("https://cdn.jsdelivr.net", True), ("cdn.jsdelivr.net", True), ("https://cdn.jsdelivr.net/npm/", True),
        ("https://cdn.jsdelivr.net/npm/vue@3.4.0/dist/vue.min.js", False), ("*.cloudfront.net", True),
        ("https://d111abcdef8.cloudfront.net", False), ("https://*.s3.amazonaws.com", True), ("*.amazonaws.com", True),
        ("https://shop.s3.amazonaws.com", False), ("https://*.github.io/", True), ("https://shop.github.io", False),
        ("https://ajax.googleapis.com:443", True), ("https://cdn.shop.example", False), ("'self'", False),
        ("https://notjsdelivr.net", False), ("https://cdn.jsdelivr.net.shop.example", False),
    ],
)  # fmt: skip
def test_hosts_that_serve_anybodys_scripts(source: str, known: bool) -> None:
    assert bool(anybody_serves(source)) is known


@pytest.mark.parametrize(
    ("policy", "word"),
    [
        ("default-src 'self'; script-src 'self' https://unpkg.com", "unpkg.com"),
        ("default-src 'self'; script-src 'self' http://static.shop.example", "plain HTTP"),
        ("default-src 'self' 'unsafe-inlne'", "not a source"), ("default-src 'self' https://*.a.*.b", "not a source"),
        ("default-src 'self' 'none'", "'none'"), ("script-src-elem self; default-src 'self'", "has no quotes"),
        ("default-src 'self'; form-action self", "has no quotes"), ("default-src 'self'; trusted-types *", "trusted"),
        ("default-src 'self'; require-trusted-types-for script", "'script'"),
        ("default-src 'self' 'sha256-not base64'", "not a source"),
    ],
)  # fmt: skip
def test_what_weakens_a_policy(policy: str, word: str) -> None:
    found = csp_rules.judged([csp.parse(policy)])
    assert not found.failed
    assert any(word in each for each in found.warned), found


@pytest.mark.parametrize(
    "policy",
    [
        "script-src 'nonce-bm90LWEtc2VjcmV0LWF0LWFsbA==' 'strict-dynamic' https: http: 'unsafe-inline'; "
        "object-src 'none'; base-uri 'none'; require-trusted-types-for 'script'; "
        "trusted-types one two 'allow-duplicates'",
        "default-src 'self'; connect-src 'self' wss://live.shop.example; img-src 'self' data: blob:; "
        "style-src 'self' 'unsafe-inline'; script-src 'self' https://js.stripe.com 'wasm-unsafe-eval'; "
        "sandbox allow-scripts",
        "default-src 'self'; script-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; base-uri 'self'",
        "default-src 'self' [::1]:8080 http://127.0.0.1:* *.shop.example:*; script-src 'self' _dmarc.shop.example",
    ],
)  # fmt: skip
def test_ordinary_good_policies_have_no_findings(policy: str) -> None:
    found = csp_rules.judged([csp.parse(policy)])
    assert not found.failed, found
    assert not found.warned, found


def test_form_action_falls_back_on_nothing() -> None:
    """CSP Level 3, 6.4.2: default-src says nothing of forms."""
    assert list(csp_rules.extras([csp.parse("default-src 'none'")]))
    assert not list(csp_rules.extras([csp.parse("default-src 'none'; form-action 'self' https://pay.example")]))
    assert list(csp_rules.extras([csp.parse("default-src 'none'; form-action *")]))
    assert not list(csp_rules.extras([csp.parse("form-action *")])), "a policy of another purpose"


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ((("X-Generated-By", "Acme/2.1"),), 1), ((("X-Backend-Server", "web-7"),), 1), ((("X-Backend-Server", ""),), 0),
        ((("Product", "Widget"),), 0), ((("X-SourceFiles", "=?UTF-8?B?YQ==?="),), 1), ((("X-Request-Id", "1.2.3"),), 0),
        ((("X-Debug-Token-Link", "/_profiler/1"),), 1),
    ],
)  # fmt: skip
def test_fields_of_owasps_list(fields: tuple[tuple[str, str], ...], count: int) -> None:
    assert len(banners.versions(fields)) == count


@pytest.mark.parametrize(
    ("control", "failed"),
    [
        ("max-age=600", True), ("max-age=000000000000600", True), ("public, max-age=600", True), ("max-age=0", False),
        ("", False), ("no-store", False), ("s-maxage=60", True), ("private, max-age=600", False),
    ],
)  # fmt: skip
def test_a_past_expires_beside_cache_control(control: str, failed: bool) -> None:
    """RFC 9111, 5.3: Expires counts for nothing beside max-age; alone, a past date is stale."""
    headers = [("Date", "Mon, 30 Nov 2026 10:00:00 GMT"), ("Expires", "Thu, 19 Nov 1981 08:52:00 GMT")]
    found = caching.judged([*headers, *([("Cache-Control", control)] if control else [])], by_header=False)
    assert bool(found.failed) is failed, found
