"""What the checks of headers, cookies, CORS, caching, disclosure and exposure must notice, and what must stay green."""

from __future__ import annotations

from pytest_prodcheck.demo.faults.fault import Fault

_HSTS, _TYPE, _CSP = ("security.headers.hsts",), ("security.headers.content-type",), ("security.headers.csp",)
_FRAMING, _REFERRER = ("security.headers.framing",), ("security.headers.referrer",)
_BLOCKED = ("security.headers.blocked",)
_HARDENING = ("security.headers.hardening",)
_VERSIONS, _TRACES = ("security.headers.disclosure",), ("security.headers.traces",)
_ENDS = ("security.authentication.logout",)  # it looks for the declared cookie
_CACHING, _COOKIES, _CORS = ("security.headers.caching",), ("security.cookies",), ("security.cors",)
_FILES, _DEBUG = ("security.exposure.files",), ("security.exposure.debug",)
_LISTING, _METHODS, _PORTS = (
    ("security.exposure.listing",), ("security.exposure.methods",), ("security.exposure.ports",),
)  # fmt: skip
_ENDPOINT = ("smoke.api.endpoint",)
_POLICY, _FRAMES, _LOST, _HOME = "the pages' policy", "who may frame", "what is not there", "the front page"

FAULTS = (
    Fault("hsts-missing", "answers lack Strict-Transport-Security", _HSTS),
    Fault("hsts-short", "HSTS is valid for one day only", _HSTS, outcome="warned"),
    Fault("hsts-zero", "HSTS has max-age=0: browsers forget it", _HSTS),
    Fault("hsts-first-is-weak", "HSTS is sent twice, the weak one first", _HSTS),
    Fault("hsts-preload-refused", "HSTS asks for the preload list, which wants subdomains", _HSTS, outcome="warned"),
    Fault("nosniff-missing", "answers lack X-Content-Type-Options", _TYPE),
    Fault("nosniff-second", "another value stands before nosniff", _TYPE),
    Fault("type-missing", "the product's answer has no Content-Type", _TYPE, _ENDPOINT),
    Fault("type-json-as-html", "the product's JSON is sent as HTML", _TYPE, _ENDPOINT),
    Fault("csp-missing", "pages have no Content-Security-Policy", _CSP, part=_POLICY),
    Fault("csp-only-reported", "the policy is only reported", _CSP, part=_POLICY),
    Fault("csp-inline", "the policy allows inline scripts", _CSP, outcome="warned", part=_POLICY),
    Fault("csp-any-host", "the policy allows scripts of every host", _CSP, part=_POLICY),
    Fault("csp-first-is-weak", "script-src exists twice, the weak one first", _CSP, part=_POLICY),
    Fault("csp-same-nonce", "every page has the same nonce", _CSP, part=_POLICY),
    Fault("csp-shared-host", "the policy allows scripts of a host where anybody puts files", _CSP, outcome="warned",
          part=_POLICY),
    Fault("csp-misspelt", "a keyword of the policy is misspelt", _CSP, outcome="warned", part=_POLICY),
    Fault("csp-plain-http", "the policy allows scripts by plain HTTP", _CSP, outcome="warned", part=_POLICY),
    Fault("csp-in-body", "the policy stands in the page's body, where browsers ignore it", _CSP, part=_POLICY),
    Fault("csp-without-forms", "the policy lets forms go to every host", _HARDENING, outcome="warned", part=_POLICY),
    Fault("opener-missing", "pages lack Cross-Origin-Opener-Policy", _HARDENING, outcome="warned"),
    Fault("permissions-old", "Permissions-Policy is written like Feature-Policy", _HARDENING, outcome="warned"),
    Fault("page-loads-plain-http", "the front page loads a style by plain HTTP", _BLOCKED),
    Fault("page-loads-forbidden", "the front page loads a script that its policy forbids", _BLOCKED, outcome="warned"),
    Fault("banner-inside", "X-Backend-Server names a host inside", _VERSIONS),
    Fault("framing-missing", "every site may frame the pages", _FRAMING, part=_POLICY),
    Fault("framing-overruled", "frame-ancestors * puts X-Frame-Options out of force", _FRAMING, part=_POLICY),
    Fault("framing-allow-from", "X-Frame-Options says ALLOW-FROM, which browsers ignore", _FRAMING, part=_POLICY),
    Fault("referrer-unsafe", "other sites get whole addresses", _REFERRER),
    Fault("referrer-last-is-weak", "a second Referrer-Policy weakens the first", _REFERRER),
    Fault("banner-server", "Server names a version", _VERSIONS),
    Fault("banner-powered-by", "X-Powered-By names a version", _VERSIONS),
    Fault("banner-framework", "X-AspNet-Version is sent", _VERSIONS),
    Fault("trace-404-python", "the page for what is not there shows a Python traceback", _TRACES, part=_LOST),
    Fault("trace-500-java", "a malformed query gives 500 with a Java stack trace in JSON", _TRACES),
    Fault("trace-400-node", "JSON that breaks off gives 400 with a JavaScript stack trace", _TRACES),
    Fault("trace-401-token", "a malformed token gives 500 with a traceback in JSON", _TRACES),
    Fault("caching-public", "the account may be kept by every cache", _CACHING),
    Fault("caching-cdn", "the account may be kept by the CDN", _CACHING),
    Fault("caching-fresh", "the account is fresh for ten minutes, not said for whom", _CACHING, outcome="warned"),
    Fault("cookie-not-secure", "the session cookie has no Secure", _COOKIES, _ENDS),
    Fault("cookie-readable", "the session cookie has no HttpOnly", _COOKIES, _ENDS),
    Fault("cookie-any-site", "the session cookie has SameSite=None", _COOKIES, outcome="warned"),
    Fault("cookie-prefix-broken", "the session cookie has __Host- and a Domain: browsers refuse it", _COOKIES, _ENDS),
    Fault("cookie-set-twice", "the session cookie is set twice, the weak one last", _COOKIES, _ENDS),
    Fault("cors-reflects", "every origin may read with credentials", _CORS),
    Fault("cors-null", "the origin null may read with credentials", _CORS),
    Fault("cors-prefix", "origins that begin like the shop may read with credentials", _CORS),
    Fault("cors-suffix", "origins that end like the shop may read with credentials", _CORS),
    Fault("cors-preflight", "preflights of every origin are allowed with credentials", _CORS),
    Fault("cors-plain-http", "the shop's plain origin may read with credentials", _CORS, outcome="warned"),
    Fault("cors-wildcard-credentials", "* together with credentials", _CORS, outcome="warned"),
    Fault("git-open", "the git repository is public", _FILES, part=_LOST),
    Fault("env-open", "the environment file is public", _FILES, part=_LOST),
    Fault("dump-open", "a database dump is public", _FILES, part=_LOST),
    Fault("backup-open", "a backup archive is public", _FILES, part=_LOST),
    Fault("actuator-open", "Spring's actuator shows the environment", _DEBUG, part=_LOST),
    Fault("phpinfo-open", "phpinfo() is public", _DEBUG, part=_LOST),
    Fault("pprof-open", "Go's profiler is public", _DEBUG, part=_LOST),
    Fault("server-status-open", "Apache's status page is public", _DEBUG, part=_LOST),
    Fault("listing-of-uploads", "/uploads/ is listed", _LISTING, part=_LOST),
    Fault("listing-of-a-bucket", "/files/ lists a bucket", _LISTING, part=_LOST),
    Fault("listing-of-assets", "a folder that the front page loads from is listed", _LISTING, part=_LOST),
    Fault("trace-answered", "TRACE is answered with the request", _METHODS, part=_LOST),
    Fault("trace-as-html", "TRACE is refused with a page that shows the request's headers", _METHODS, part=_LOST),
    Fault("webdav-offered", "OPTIONS offers WebDAV", _METHODS, outcome="warned", part=_LOST),
    Fault("port-open", "a port is open that is not meant to be", _PORTS),
    Fault("port-open-silent", "a port is open that never speaks", _PORTS, part="a spare port"),
    Fault("port-resets", "a port accepts and resets connections", _PORTS, part="a spare port"),
)

_SUITES = ("security",)
BENIGN = (
    Fault("hsts-plain", "HSTS without includeSubDomains and preload", suites=_SUITES),
    Fault("csp-several", "several policies that together are strong", part=_POLICY, suites=_SUITES),
    Fault("csp-reported-besides", "a weak report-only policy is sent beside the strong one", suites=_SUITES),
    Fault("csp-nonce", "the policy has a new nonce each time, and a fallback for old browsers", suites=_SUITES),
    Fault("csp-in-meta", "the policy stands in the page", suites=_SUITES),
    Fault("csp-after-head", "the policy stands in the page behind </head>", suites=_SUITES),
    Fault("csp-own-host", "the policy allows scripts of a bucket and of one file", part=_POLICY, suites=_SUITES),
    Fault("page-loads-data", "the front page holds JSON in a script, a template and a comment with scripts in them",
          suites=_SUITES),
    Fault("opener-popups", "pages let their popups know them, for logins elsewhere", suites=_SUITES),
    Fault("framing-by-old-header", "X-Frame-Options alone guards against framing", part=_POLICY, suites=_SUITES),
    Fault("referrer-fallback", "a list of referrer policies ends with an unknown one", suites=_SUITES),
    Fault("banner-name-only", "Server names a program without its version", suites=_SUITES),
    Fault("caching-unsaid", "the account, read with a bearer token, says nothing of caches", suites=_SUITES),
    Fault("caching-private", "browsers may keep the account for a minute", suites=_SUITES),
    Fault("cookie-preference", "a cookie that scripts read and that opens nothing", suites=_SUITES),
    Fault("cookie-csrf", "a CSRF token in a cookie that scripts read", suites=_SUITES),
    Fault("cookie-deleted", "a cookie is deleted", suites=_SUITES),
    Fault("cors-open", "everybody may read without credentials", suites=_SUITES),
    Fault("soft-404", "a page that does not exist is answered with status 200", part=_LOST, suites=_SUITES),
    Fault("catch-all", "every path gives the front page", part=_LOST, suites=_SUITES),
    Fault("catch-all-listing", "the page for what is not there looks like a listing", part=_LOST, suites=_SUITES),
    Fault("dotfiles-forbidden", "hidden files are refused with 403", part=_LOST, suites=_SUITES),
)
