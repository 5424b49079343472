"""What faults, and benign habits, do to the headers of the shop's answers."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from pytest_prodcheck.demo.shop.application import HEADERS, SESSION, Shop
from pytest_prodcheck.demo.shop.changes import Changes, Healthy
from pytest_prodcheck.demo.shop.http_server import Request, Response

CHANGES = Changes()
changes = CHANGES.changes
STS, CSP, XFO, TYPE = "Strict-Transport-Security", "Content-Security-Policy", "X-Frame-Options", "Content-Type"
REPORT_ONLY, NOSNIFF, REFERRER = "Content-Security-Policy-Report-Only", "X-Content-Type-Options", "Referrer-Policy"
STRONG = HEADERS[CSP]
# the shop's policy with other scripts; browsers take the first of two directives
SCRIPTS = STRONG.replace("style-src", "script-src {}; style-src")
HOME, ACCOUNT, LOGIN, PRODUCT = "GET /", "GET /account", "POST /login", "GET /products/{sku}"


def _is_page(request: Request, response: Response) -> bool:
    return response.headers.get(TYPE, "").startswith("text/html")


def _everywhere(request: Request, response: Response) -> bool:
    return True


def sets_header(fault: str, name: str, *values: str, where: Callable[[Request, Response], bool] = _everywhere) -> None:
    """Registers a fault that sends one field so many times with these values; with none it leaves it out.

    Cookies are sent beside those of the page.
    """

    def finish(request: Request, response: Response) -> None:
        if where(request, response):
            kept = {key: value for key, value in response.headers.items() if key != name or key == "Set-Cookie"}
            response.headers = kept
            response.more = [*response.more, *((name, value) for value in values)]

    CHANGES.finishes(fault, finish)


def on_path(path: str) -> Callable[[Request, Response], bool]:
    """Holds for one path."""
    return lambda request, response: request.path == path


sets_header("hsts-missing", STS)
sets_header("hsts-short", STS, "max-age=86400; includeSubDomains")
sets_header("hsts-zero", STS, "max-age=0")
sets_header("hsts-first-is-weak", STS, "max-age=0", "max-age=63072000")
sets_header("hsts-preload-refused", STS, "max-age=31536000; preload")
sets_header("hsts-plain", STS, "max-age=31536000")
sets_header("nosniff-missing", NOSNIFF)
sets_header("nosniff-second", NOSNIFF, "sniff", "nosniff")
sets_header("type-missing", TYPE, where=on_path("/products/smoke-sku-1"))
sets_header("type-json-as-html", TYPE, "text/html; charset=utf-8", where=on_path("/products/smoke-sku-1"))
sets_header("csp-missing", CSP, where=_is_page)
sets_header("csp-missing", XFO, "DENY", where=_is_page)  # the framing stays guarded
sets_header("csp-only-reported", CSP, "frame-ancestors 'none'", where=_is_page)
sets_header("csp-only-reported", REPORT_ONLY, STRONG, where=_is_page)
sets_header("csp-inline", CSP, SCRIPTS.format("'self' 'unsafe-inline'"), where=_is_page)
sets_header("csp-any-host", CSP, SCRIPTS.format("'self' https:"), where=_is_page)
sets_header("csp-first-is-weak", CSP, f"{SCRIPTS.format('*')}; script-src 'none'", where=_is_page)
sets_header("csp-same-nonce", CSP, SCRIPTS.format("'nonce-bm90LWEtc2VjcmV0LWF0LWFsbA=='"), where=_is_page)
sets_header("csp-shared-host", CSP, SCRIPTS.format("'self' https://cdn.jsdelivr.net"), where=_is_page)
sets_header("csp-misspelt", CSP, SCRIPTS.format("'self' 'strict-dinamic'"), where=_is_page)
sets_header("csp-plain-http", CSP, SCRIPTS.format("'self' http://static.shop.example"), where=_is_page)
sets_header("csp-without-forms", CSP, STRONG.replace("form-action 'none'; ", ""), where=_is_page)
sets_header("opener-missing", "Cross-Origin-Opener-Policy", where=_is_page)
sets_header("permissions-old", "Permissions-Policy", "camera 'none'; geolocation 'none'", where=_is_page)
sets_header("banner-inside", "X-Backend-Server", "web-7.internal")
sets_header("framing-missing", XFO, where=_is_page)
sets_header("framing-missing", CSP, STRONG.replace("frame-ancestors 'none'", ""), where=_is_page)
sets_header("framing-overruled", CSP, STRONG.replace("frame-ancestors 'none'", "frame-ancestors *"), where=_is_page)
sets_header("framing-allow-from", XFO, "ALLOW-FROM https://partner.example", where=_is_page)
sets_header("framing-allow-from", CSP, STRONG.replace("frame-ancestors 'none'", ""), where=_is_page)
sets_header("referrer-unsafe", REFERRER, "unsafe-url", where=_is_page)
sets_header("referrer-last-is-weak", REFERRER, "no-referrer", "no-referrer-when-downgrade", where=_is_page)
sets_header("banner-server", "Server", "nginx/1.18.0 (Ubuntu)")
sets_header("banner-powered-by", "X-Powered-By", "PHP/8.1.2-1ubuntu2.14")
sets_header("banner-framework", "X-AspNet-Version", "4.0.30319")
sets_header("caching-public", "Cache-Control", "public, max-age=600", where=on_path("/account"))
sets_header("caching-cdn", "CDN-Cache-Control", "max-age=600", where=on_path("/account"))
sets_header("caching-fresh", "Cache-Control", "max-age=600", where=on_path("/account"))
# benign
sets_header("csp-several", CSP, "default-src 'self', object-src 'none'", STRONG, "img-src *", where=_is_page)
sets_header("csp-reported-besides", REPORT_ONLY, "default-src *; script-src * 'unsafe-inline'", where=_is_page)
sets_header(
    "csp-own-host",
    CSP,
    SCRIPTS.format("'self' https://shop.s3.amazonaws.com https://cdn.jsdelivr.net/npm/vue@3.4.0/dist/vue.min.js"),
    where=_is_page,
)
sets_header("opener-popups", "Cross-Origin-Opener-Policy", "same-origin-allow-popups", where=_is_page)
sets_header("framing-by-old-header", CSP, STRONG.replace("frame-ancestors 'none'", ""), where=_is_page)
sets_header(
    "referrer-fallback", REFERRER, "no-referrer, strict-origin-when-cross-origin, not-known-yet", where=_is_page
)
sets_header("banner-name-only", "Server", "nginx")
sets_header("caching-unsaid", "Cache-Control", where=on_path("/account"))
sets_header("caching-private", "Cache-Control", "private, max-age=60", where=on_path("/account"))


@changes("csp-nonce", HOME)
def _nonce(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response, nonce = healthy(), secrets.token_urlsafe(18)
    sources = f"'nonce-{nonce}' 'strict-dynamic' https: 'unsafe-inline'"  # what old browsers fall back on
    response.headers[CSP] = SCRIPTS.format(sources)
    return response


def _loads(fault: str, text: str) -> None:
    """Registers a fault that adds to the front page's body."""

    @changes(fault, HOME)
    def _more(shop: Shop, request: Request, healthy: Healthy) -> Response:
        response = healthy()
        response.body = response.body.replace(b"</body>", text.encode() + b"</body>", 1)
        return response


_loads("page-loads-plain-http", '<link rel=stylesheet href="http://static.shop.example/shop.css">')
_loads("page-loads-forbidden", '<script src="https://cdn.shop.example/shop.js"></script>')
_loads(
    "page-loads-data",
    '<script type="application/json" src="http://x.example/">{}</script>'
    '<!-- <script src="http://x.example/"></script> -->'
    '<template><script src="http://x.example/"></script></template><a href="http://x.example/">x</a>',
)


def _in_page(fault: str, before: bytes) -> None:
    """Registers a fault that moves the policy from the header into the page, before a tag."""

    @changes(fault, HOME)
    def _meta(shop: Shop, request: Request, healthy: Healthy) -> Response:
        response = healthy()
        policy = f'<meta http-equiv="Content-Security-Policy" content="{SCRIPTS.format(chr(39) + "self" + chr(39))}">'
        assert before in response.body
        response.body = response.body.replace(before, policy.encode() + before, 1)
        response.headers[CSP] = "frame-ancestors 'none'"
        return response


_in_page("csp-in-meta", b"<title>")
_in_page("csp-after-head", b"<body>")
_in_page("csp-in-body", b"</body>")


def _sets(fault: str, change: Callable[[str], str], *more: str) -> None:
    """Registers a fault of the cookie that login sets."""

    def finish(request: Request, response: Response) -> None:
        if response.headers.get("Set-Cookie", "").startswith(SESSION):
            cookie = response.headers.pop("Set-Cookie")
            response.more += [("Set-Cookie", each) for each in (change(cookie), *more)]

    CHANGES.finishes(fault, finish)


def _without_attribute(attribute: str) -> Callable[[str], str]:
    """Without one attribute, and under a plain name, so that browsers take it all the same."""
    return lambda cookie: cookie.replace(SESSION, "session").replace(f"; {attribute}", "")


_sets("cookie-not-secure", _without_attribute("Secure"))
_sets("cookie-readable", _without_attribute("HttpOnly"))
_sets("cookie-any-site", lambda cookie: cookie.replace("SameSite=Strict", "SameSite=None"))
_sets("cookie-prefix-broken", lambda cookie: f"{cookie}; Domain=shop.demo.test")
_sets("cookie-set-twice", lambda cookie: cookie, f"{SESSION}=x; Path=/; Secure; SameSite=Strict")
sets_header(
    "cookie-preference", "Set-Cookie", "theme=dark; Path=/; Secure; SameSite=Lax; Max-Age=31536000", where=_is_page
)
sets_header("cookie-csrf", "Set-Cookie", "csrftoken=0123456789abcdef; Path=/; Secure; SameSite=Strict", where=_is_page)
sets_header("cookie-deleted", "Set-Cookie", "sessionid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", where=_is_page)


def _cors(fault: str, allows: Callable[[str], str], credentials: bool = True, only: str = "") -> None:
    """Registers a fault that lets other origins read: `allows` makes an allowed origin of the asking one."""

    def finish(request: Request, response: Response) -> None:
        allowed = allows(request.headers.get("origin", ""))
        if allowed and (not only or request.method == only):
            response.more.append(("Access-Control-Allow-Origin", allowed))
            response.more += [("Access-Control-Allow-Credentials", "true")] if credentials else []

    CHANGES.finishes(fault, finish)


_cors("cors-reflects", lambda origin: origin)
_cors("cors-null", lambda origin: origin if origin == "null" else "")
_cors("cors-prefix", lambda origin: origin if origin.startswith("https://shop.demo.test") else "")
_cors("cors-suffix", lambda origin: origin if origin.rpartition(":")[0].endswith("demo.test") else "")
_cors("cors-preflight", lambda origin: origin, only="OPTIONS")
_cors("cors-plain-http", lambda origin: origin if origin == "http://shop.demo.test" else "")
_cors("cors-wildcard-credentials", lambda origin: "*")
_cors("cors-open", lambda origin: "*", credentials=False)  # benign
