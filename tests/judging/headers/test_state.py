"""Cookies, caching, CORS, versions."""

from __future__ import annotations

import pytest

from pytest_prodcheck.judging.headers import banners, caching, cookies, cors
from pytest_prodcheck.judging.headers.findings import Findings

Fields = tuple[tuple[str, str], ...]
HOST = "www.shop.example"
NOW = 1_800_000_000.0


def verdict(found: Findings) -> str:
    return "failed" if found.failed else "warned" if found.warned else "passed"


def cookie(text: str) -> cookies.Cookie:
    found = cookies.parse(text, NOW)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("__Host-id=a; Path=/; Secure", ""),
        ("__host-id=a; path=/; secure", ""),
        ("__Host-id=a; Secure", "Path"),
        ("__Host-id=a; Path=/shop; Secure", "Path"),
        ("__Host-id=a; Path=/; Secure; Domain=www.shop.example", "Domain"),
        ("__Host-id=a; Path=/", "Secure"),
        ("__HOST-id=a; Path=/", "Secure"),  # prefixes know no case
        ("__Secure-id=a; Secure", ""),
        ("__Secure-id=a; Secure; Domain=shop.example", ""),
        ("__Secure-id=a", "Secure"),
        ("__Http-id=a; Secure; HttpOnly", ""),
        ("__Http-id=a; Secure", "HttpOnly"),
        ("__Host-Http-id=a; Path=/; Secure; HttpOnly", ""),
        ("__Host-Http-id=a; Path=/; Secure", "HttpOnly"),
        ("id=a; SameSite=None", "SameSite=None"),
        ("id=a; SameSite=None; Secure", ""),
        ("id=a; samesite=none; SameSite=Lax", ""),  # the last one counts
        ("id=a; SameSite=whatever", ""),
        ("id=a; Partitioned", "Partitioned"),
        ("id=a; Domain=shop.example", ""),
        ("id=a; Domain=.shop.example", ""),
        ("id=a; Domain=SHOP.example", ""),
        ("id=a; Domain=other.example", "Domain"),
        ("id=a; Domain=op.example", "Domain"),
        ("id=a; Domain=api.www.shop.example", "Domain"),
        ("id=a; Domain=", ""),
    ],
)
def test_what_browsers_refuse(text: str, expected: str) -> None:
    """RFC 6265bis, 5.7; the cases of WPT's cookies/prefix, cookies/samesite and cookies/domain."""
    why = cookies.refused(cookie(text), HOST, https=True)
    assert expected in why if expected else why == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id=a", False),
        ("id=", True),
        ('id=""', True),
        ("id=a; Max-Age=0", True),
        ("id=a; Max-Age=-1", True),
        ("id=a; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT", False),  # Max-Age goes before Expires
        ("id=a; Expires=Thu, 01 Jan 1970 00:00:00 GMT", True),
        ("id=a; Expires=Tue, 19 Jan 2038 03:14:07 GMT", False),
        ("id=a; Expires=rubbish", False),
        ("id=a; Max-Age=rubbish", False),
    ],
)
def test_what_is_deleted(text: str, expected: bool) -> None:
    assert cookie(text).removed is expected


def test_what_is_no_cookie() -> None:
    assert cookies.parse("", NOW) is None
    assert cookies.parse("=; Secure", NOW) is None
    assert cookies.parse("a=b\x01", NOW) is None
    assert cookie("nameless; Secure").name == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((each, True) for each in (
            "JSESSIONID", "PHPSESSID", "ASP.NET_SessionId", "connect.sid", "laravel_session", "_shop_session", "sid",
            "__Host-session", "access_token", "jwt", "remember_me", "auth", "sessionid",
            ".AspNetCore.Identity.Application", "__Secure-next-auth.session-token", "wordpress_logged_in_login",
            ".AspNet.ApplicationCookie", ".AspNet.Cookies", "authorization", "authors_token",
        )),
        *((each, False) for each in (
            "theme", "lang", "csrftoken", "XSRF-TOKEN", "_csrf", "AWSALB", "AWSALBCORS", "heroku-session-affinity",
            "_ga", "cookieconsent", "__cf_bm", "cart", "resident", "ARRAffinity", "side",
            "comment_author_4a7b", "comment_author_email_4a7b",  # WordPress, of who left a comment
        )),
    ],
)  # fmt: skip
def test_which_cookies_are_sessions(name: str, expected: bool) -> None:
    assert cookies.is_session(cookie(f"{name}=a"), ()) is expected
    assert cookies.is_session(cookie(f"{name}=a"), {name})


@pytest.mark.parametrize(
    ("text", "session", "expected"),
    [
        ("id=a; Secure; HttpOnly; SameSite=Lax", True, "passed"),
        ("id=a; secure; httponly; samesite=strict", True, "passed"),
        ("id=a; HttpOnly; SameSite=Lax", True, "failed"),
        ("id=a; Secure; SameSite=Lax", True, "failed"),
        ("id=a; Secure; HttpOnly", True, "warned"),
        ("id=a; Secure; HttpOnly; SameSite=sometimes", True, "warned"),
        ("id=a; Secure; HttpOnly; SameSite=None", True, "warned"),
        ("id=a; HttpOnly; SameSite=None", True, "failed"),
        ("id=a; Secure", False, "passed"),
        ("id=a", False, "warned"),
        ("__Host-id=a; Secure; HttpOnly; SameSite=Lax", True, "failed"),
        ("id=a; Secure=false; HttpOnly=0; SameSite=Lax", True, "passed"),  # they count whatever value they have
    ],
)
def test_cookies_are_judged(text: str, session: bool, expected: str) -> None:
    assert verdict(cookies.judged(cookie(text), HOST, True, session)) == expected


def test_over_plain_http_secure_is_not_asked_for() -> None:
    assert verdict(cookies.judged(cookie("id=a; HttpOnly; SameSite=Lax"), HOST, False, True)) == "passed"


@pytest.mark.parametrize(
    ("control", "more", "by_header", "by_cookie"),
    [
        ("no-store", (), "passed", "passed"),
        ("private", (), "passed", "passed"),
        ("private, max-age=600", (), "passed", "passed"),
        ("no-cache", (), "passed", "passed"),
        ("NO-STORE", (), "passed", "passed"),
        ("max-age=0", (), "passed", "passed"),
        ("public, max-age=0", (), "passed", "passed"),
        ("public", (), "failed", "failed"),
        ("public, max-age=600", (), "failed", "failed"),
        ("s-maxage=600", (), "failed", "failed"),
        ("max-age=0, s-maxage=600", (), "failed", "failed"),
        # RFC 5861: given out when it is stale, to whoever asks next
        ("max-age=0, stale-while-revalidate=60", (), "passed", "failed"),
        ("public, max-age=0, stale-if-error=600", (), "failed", "failed"),
        ("s-maxage=0, stale-while-revalidate=60", (), "failed", "failed"),
        ("max-age=0, must-revalidate, stale-while-revalidate=60", (), "passed", "passed"),
        ("private, max-age=0, stale-while-revalidate=60", (), "passed", "passed"),
        ("max-age=0, stale-while-revalidate=0", (), "passed", "passed"),
        ("s-maxage=0", (), "passed", "passed"),
        ("max-age=600", (), "warned", "failed"),  # RFC 9111, 3.5: the header alone keeps it out of shared caches
        ("max-age=600, must-revalidate", (), "failed", "failed"),
        ("must-revalidate", (), "warned", "warned"),
        ("private, public", (), "warned", "warned"),
        ("no-store, public, max-age=600", (), "warned", "warned"),
        ('private="set-cookie", max-age=600', (), "warned", "failed"),
        ("immutable", (), "passed", "warned"),
        ('no-cache="set-cookie", public', (), "failed", "failed"),
        ("public; max-age=600", (), "failed", "failed"),
        ("max-age=600; private", (), "warned", "warned"),
        ("no-cache; private; no-store", (), "warned", "warned"),
        ("max-age = 600", (), "warned", "failed"),
        ("max-age=rubbish", (), "passed", "passed"),  # 4.2.1: stale
        ("max-age=0, max-age=600", (), "passed", "passed"),
        ("", (), "passed", "warned"),
        ("", (("Expires", "0"),), "passed", "passed"),
        ("", (("Expires", "Tue, 19 Jan 2038 03:14:07 GMT"), ("Date", "Tue, 19 Jan 2038 02:14:07 GMT")), "warned",
         "failed"),
        ("public, max-age=600", (("Vary", "*"),), "passed", "passed"),
        ("public, max-age=600", (("Vary", "Accept, Authorization"),), "warned", "warned"),
        ("no-store", (("CDN-Cache-Control", "max-age=60"),), "failed", "failed"),
        ("no-store", (("CDN-Cache-Control", "no-store"),), "passed", "passed"),
        ("private", (("Netlify-CDN-Cache-Control", "public, max-age=60"),), "failed", "failed"),
        ("private", (("akamai-cache-control", "max-age=0, stale-while-revalidate=60"),), "failed", "failed"),
        ("", (("Expires", "Fri, 01 Jan 2100 00:00:00 GMT"),), "passed", "warned"),  # no Date
        ("private", (("Surrogate-Control", "max-age=60"),), "failed", "failed"),
    ],
)  # fmt: skip
def test_caching(control: str, more: Fields, by_header: str, by_cookie: str) -> None:
    """RFC 9111, 3 to 5.2, and RFC 9213."""
    headers = ((("Cache-Control", control),) if control else ()) + more
    assert verdict(caching.judged(headers, by_header=True)) == by_header
    assert verdict(caching.judged(headers, by_header=False)) == by_cookie


EVIL = "https://evil.example"


@pytest.mark.parametrize(
    ("allowed", "credentials", "expected"),
    [
        ((EVIL,), ("true",), "failed"),
        ((EVIL,), (), "passed"),  # no more than * says
        ((EVIL,), ("True",), "passed"),  # "true" knows case
        ((EVIL,), ("true", "true"), "passed"),
        ((EVIL.upper(),), ("true",), "passed"),
        ((f"{EVIL}/",), ("true",), "passed"),
        ((f"{EVIL}, https://shop.example",), ("true",), "passed"),
        ((EVIL, EVIL), ("true",), "passed"),
        (("*",), (), "passed"),
        (("*",), ("true",), "warned"),
        (("https://shop.example",), ("true",), "passed"),
        ((), ("true",), "passed"),
        (("null",), ("true",), "passed"),
    ],
)
def test_cors(allowed: tuple[str, ...], credentials: tuple[str, ...], expected: str) -> None:
    """Fetch, "CORS check"; the cases of WPT's cors/origin and cors/credentials-flag."""
    headers = tuple(("Access-Control-Allow-Origin", each) for each in allowed)
    headers += tuple(("access-control-allow-credentials", each) for each in credentials)
    assert verdict(cors.judged(headers, EVIL)) == expected


def test_cors_of_null_and_of_our_own_plain_origin() -> None:
    headers = (("Access-Control-Allow-Origin", "null"), ("Access-Control-Allow-Credentials", "true"))
    assert cors.judged(headers, "null").failed
    plain = (("Access-Control-Allow-Origin", "http://shop.example"), ("Access-Control-Allow-Credentials", "true"))
    assert verdict(cors.judged(plain, "http://shop.example", hostile=False)) == "warned"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("Server", "nginx/1.18.0 (Ubuntu)", True),
        ("Server", "Apache/2", True),
        ("Server", "Apache/2.4.41 (Unix) OpenSSL/1.1.1", True),
        ("Server", "Microsoft-IIS/10.0", True),
        ("Server", "Werkzeug/3.0.1 Python/3.12.1", True),
        ("X-Powered-By", "PHP/8.1.2-1ubuntu2.14", True),
        ("X-Powered-By", "Phusion Passenger 6.0.4", True),
        ("X-AspNet-Version", "4.0.30319", True),
        ("X-Generator", "Drupal 10.2 (https://www.drupal.org)", True),
        ("Via", "1.1 varnish (Varnish/6.0)", True),
        ("Server", "nginx", False),
        ("Server", "ECS (dcb/7F83)", False),
        ("Server", "cloudflare", False),
        ("Server", "Google Frontend", False),
        ("Server", "AmazonS3", False),
        ("Server", "gws", False),
        ("X-Powered-By", "Express", False),
        ("Via", "1.1 vegur, 1.1 varnish", False),
        ("Via", "HTTP/1.1 proxy", False),
        ("X-Request-Id", "abc/1.2.3", False),
    ],
)
def test_versions(name: str, value: str, told: bool) -> None:
    assert bool(banners.versions(((name, value),))) is told


def test_the_generator_of_a_page_tells_too() -> None:
    assert banners.versions((), "WordPress 6.1.1")
    assert not banners.versions((), "Hugo")


def test_hostile_text_is_read_in_bounded_time() -> None:
    import time

    began = time.process_time()
    for piece in ('"', "\\\\\\", "a, ", "a=,", ";"):
        caching.judged((("Cache-Control", piece * (60_000 // len(piece))),), True)
        cookies.parse(piece * (60_000 // len(piece)), NOW)
    assert time.process_time() - began < 10
