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
    Fault("hsts-missing", "answers have no Strict-Transport-Security header", _HSTS),
    Fault("hsts-short", "HSTS is valid for one day only", _HSTS, outcome="warned"),
    Fault("hsts-zero", "HSTS has max-age=0, so browsers forget it", _HSTS),
    Fault("hsts-first-is-weak", "HSTS is sent twice, the weak one first", _HSTS),
    Fault(
        "hsts-preload-refused", "HSTS asks for the preload list, but does not include subdomains as the list requires",
        _HSTS, outcome="warned",
    ),
    Fault("nosniff-missing", "answers have no X-Content-Type-Options header", _TYPE),
    Fault("nosniff-second", "X-Content-Type-Options has another value before nosniff", _TYPE),
    Fault("type-missing", "the product's answer has no Content-Type", _TYPE, _ENDPOINT),
    Fault("type-json-as-html", "the product's JSON is sent as HTML", _TYPE, _ENDPOINT),
    Fault("csp-missing", "pages have no Content-Security-Policy", _CSP, part=_POLICY),
    Fault("csp-only-reported", "the policy is in report-only mode", _CSP, part=_POLICY),
    Fault("csp-inline", "the policy allows inline scripts", _CSP, outcome="warned", part=_POLICY),
    Fault("csp-any-host", "the policy allows scripts from every host", _CSP, part=_POLICY),
    Fault("csp-first-is-weak", "script-src exists twice, the weak one first", _CSP, part=_POLICY),
    Fault("csp-same-nonce", "every page has the same nonce", _CSP, part=_POLICY),
    Fault(
        "csp-shared-host", "the policy allows scripts from a host where anybody can upload files",
        _CSP, outcome="warned", part=_POLICY,
    ),
    Fault("csp-misspelt", "a keyword of the policy is misspelled", _CSP, outcome="warned", part=_POLICY),
    Fault("csp-plain-http", "the policy allows scripts over plain HTTP", _CSP, outcome="warned", part=_POLICY),
    Fault("csp-in-body", "the policy is in the body of the page, where browsers ignore it", _CSP, part=_POLICY),
    Fault(
        "csp-without-forms", "the policy allows forms to send data to every host",
        _HARDENING, outcome="warned", part=_POLICY,
    ),
    Fault("opener-missing", "pages have no Cross-Origin-Opener-Policy header", _HARDENING, outcome="warned"),
    Fault(
        "permissions-old", "Permissions-Policy uses the syntax of the old Feature-Policy",
        _HARDENING, outcome="warned",
    ),
    Fault("page-loads-plain-http", "the front page loads a stylesheet over plain HTTP", _BLOCKED),
    Fault(
        "page-loads-forbidden", "the front page loads a script that its own policy forbids",
        _BLOCKED, outcome="warned",
    ),
    Fault("banner-inside", "X-Backend-Server shows the name of an internal host", _VERSIONS),
    Fault("framing-missing", "every site may show the pages in a frame", _FRAMING, part=_POLICY),
    Fault("framing-overruled", "frame-ancestors * overrides X-Frame-Options", _FRAMING, part=_POLICY),
    Fault("framing-allow-from", "X-Frame-Options says ALLOW-FROM, which browsers ignore", _FRAMING, part=_POLICY),
    Fault("referrer-unsafe", "other sites receive full URLs in the Referer header", _REFERRER),
    Fault("referrer-last-is-weak", "a second Referrer-Policy weakens the first", _REFERRER),
    Fault("banner-server", "the Server header shows a version", _VERSIONS),
    Fault("banner-powered-by", "the X-Powered-By header shows a version", _VERSIONS),
    Fault("banner-framework", "the X-AspNet-Version header is sent", _VERSIONS),
    Fault("trace-404-python", 'the "not found" page shows a Python traceback', _TRACES, part=_LOST),
    Fault("trace-500-java", "a malformed query is answered with 500 and a Java stack trace in JSON", _TRACES),
    Fault("trace-400-node", "truncated JSON is answered with 400 and a JavaScript stack trace", _TRACES),
    Fault("trace-401-token", "a malformed token is answered with 500 and a traceback in JSON", _TRACES),
    Fault("caching-public", "every cache may store the account", _CACHING),
    Fault("caching-cdn", "the CDN may store the account", _CACHING),
    Fault(
        "caching-fresh", "the account may be cached for ten minutes, without a limit to private caches",
        _CACHING, outcome="warned",
    ),
    Fault("cookie-not-secure", "the session cookie has no Secure attribute", _COOKIES, _ENDS),
    Fault("cookie-readable", "the session cookie has no HttpOnly attribute", _COOKIES, _ENDS),
    Fault("cookie-any-site", "the session cookie has SameSite=None", _COOKIES, outcome="warned"),
    Fault(
        "cookie-prefix-broken", "the session cookie has the prefix __Host- and a Domain, so browsers reject it",
        _COOKIES, _ENDS,
    ),
    Fault("cookie-set-twice", "the session cookie is set twice, the weak one last", _COOKIES, _ENDS),
    Fault("cors-reflects", "every origin may read answers with credentials", _CORS),
    Fault("cors-null", 'the origin "null" may read answers with credentials', _CORS),
    Fault("cors-prefix", "origins whose name begins like the shop's may read answers with credentials", _CORS),
    Fault("cors-suffix", "origins whose name ends like the shop's site may read answers with credentials", _CORS),
    Fault("cors-preflight", "preflight requests of every origin are allowed with credentials", _CORS),
    Fault(
        "cors-plain-http", "the shop's origin over plain HTTP may read answers with credentials",
        _CORS, outcome="warned",
    ),
    Fault("cors-wildcard-credentials", "the origin * is allowed together with credentials", _CORS, outcome="warned"),
    Fault("git-open", "the git repository is public", _FILES, part=_LOST),
    Fault("env-open", "the environment file is public", _FILES, part=_LOST),
    Fault("dump-open", "a database dump is public", _FILES, part=_LOST),
    Fault("backup-open", "a backup archive is public", _FILES, part=_LOST),
    Fault("actuator-open", "the actuator of Spring shows the environment", _DEBUG, part=_LOST),
    Fault("phpinfo-open", "phpinfo() is public", _DEBUG, part=_LOST),
    Fault("pprof-open", "Go's profiler is public", _DEBUG, part=_LOST),
    Fault("server-status-open", "Apache's status page is public", _DEBUG, part=_LOST),
    Fault("listing-of-uploads", "the files in /uploads/ are listed", _LISTING, part=_LOST),
    Fault("listing-of-a-bucket", "/files/ lists the content of a bucket", _LISTING, part=_LOST),
    Fault("listing-of-assets", "the files in a folder that the front page uses are listed", _LISTING, part=_LOST),
    Fault("trace-answered", "the server answers TRACE with the request that it received", _METHODS, part=_LOST),
    Fault(
        "trace-as-html", "the server refuses TRACE with a page that shows the headers of the request",
        _METHODS, part=_LOST,
    ),
    Fault("webdav-offered", "OPTIONS offers WebDAV", _METHODS, outcome="warned", part=_LOST),
    Fault("port-open", "a port is open that should be closed", _PORTS),
    Fault("port-open-silent", "a port is open that should be closed, and sends nothing", _PORTS, part="a spare port"),
    Fault("port-resets", "a port accepts connections and resets them", _PORTS, part="a spare port"),
)

_SUITES = ("security",)
BENIGN = (
    Fault("hsts-plain", "HSTS has no includeSubDomains and no preload", suites=_SUITES),
    Fault("csp-several", "there are several policies, which are strong together", part=_POLICY, suites=_SUITES),
    Fault("csp-reported-besides", "a weak report-only policy is sent beside the strong one", suites=_SUITES),
    Fault("csp-nonce", "the policy has a new nonce each time, and a fallback for old browsers", suites=_SUITES),
    Fault("csp-in-meta", "the policy is in a meta element of the page", suites=_SUITES),
    Fault("csp-after-head", "the policy is in a meta element after </head>", suites=_SUITES),
    Fault("csp-own-host", "the policy allows scripts from a bucket and from one file", part=_POLICY, suites=_SUITES),
    Fault(
        "page-loads-data",
        "the front page contains JSON in a script element, and scripts inside a template and a comment",
        suites=_SUITES,
    ),
    Fault("opener-popups", "pages keep the link to popups that they open, for logins at another site", suites=_SUITES),
    Fault("framing-by-old-header", "only X-Frame-Options protects against framing", part=_POLICY, suites=_SUITES),
    Fault("referrer-fallback", "a list of referrer policies ends with an unknown one", suites=_SUITES),
    Fault("banner-name-only", "the Server header names a program without its version", suites=_SUITES),
    Fault("caching-unsaid", "the account is read with a bearer token and has no Cache-Control header", suites=_SUITES),
    Fault("caching-private", "browsers may cache the account for a minute", suites=_SUITES),
    Fault("cookie-preference", "scripts can read a cookie with a preference, which gives no access", suites=_SUITES),
    Fault("cookie-csrf", "scripts can read the cookie with the CSRF token", suites=_SUITES),
    Fault("cookie-deleted", "a cookie is deleted", suites=_SUITES),
    Fault("cors-open", "every origin may read answers without credentials", suites=_SUITES),
    Fault("soft-404", "a page that does not exist is answered with status 200", part=_LOST, suites=_SUITES),
    Fault("catch-all", "every unknown path shows the front page", part=_LOST, suites=_SUITES),
    Fault("catch-all-listing", 'the "not found" page looks like a directory listing', part=_LOST, suites=_SUITES),
    Fault("dotfiles-forbidden", "hidden files are refused with 403", part=_LOST, suites=_SUITES),
)
