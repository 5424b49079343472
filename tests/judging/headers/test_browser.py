"""A real browser and our parsers make the same of the same fields: one run of Chromium for all of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pytest_prodcheck.judging.headers import content_type, cookies, cors, csp, framing, html

Fields = tuple[tuple[str, str], ...]
POLICY, XFO, SNIFF = "Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options"
REPORTED = "Content-Security-Policy-Report-Only"
ALLOW, WITH = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"


def fields(*given: str) -> Fields:
    return tuple(zip(given[::2], given[1::2], strict=True))


FRAMES = [
    (), fields(XFO, "DENY"), fields(XFO, "sameorigin"), fields(XFO, "ALLOWALL"),
    fields(XFO, "ALLOW-FROM http://a.example"),
    fields(XFO, "DENY", XFO, "SAMEORIGIN"), fields(XFO, "DENY, DENY"), fields(XFO, "rubbish, SAMEORIGIN"),
    fields(XFO, "rubbish, nonsense"), fields(POLICY, "frame-ancestors 'none'"),
    fields(POLICY, "frame-ancestors *", XFO, "DENY"), fields(POLICY, "frame-ancestors 'self'", XFO, "ALLOWALL"),
    fields(POLICY, "frame-ancestors *; frame-ancestors 'none'"),
    fields(POLICY, "frame-ancestors *, frame-ancestors 'none'"), fields(REPORTED, "frame-ancestors 'none'"),
    fields(REPORTED, "frame-ancestors *", XFO, "DENY"), fields(POLICY, "frame-ancestors"),
    fields(POLICY, "default-src 'none'; script-src 'unsafe-inline'"),
]  # fmt: skip
SCRIPTS = [
    "default-src 'self'", "default-src 'self' 'unsafe-inline'", "script-src 'UNSAFE-INLINE'", "script-src *",
    "script-src 'none'; script-src 'unsafe-inline'", "script-src 'unsafe-inline'; script-src 'none'",
    "script-src 'unsafe-inline', script-src 'self'", "script-src 'unsafe-inline' 'nonce-bm9uY2U='",
    "script-src 'unsafe-inline' 'nonce-<?php>'", "script-src 'unsafe-inline' 'strict-dynamic'", "img-src 'none'",
    "script-src-elem 'unsafe-inline'; script-src 'none'", "script-src unsafe-inline", "default-src", "", "defa",
    "script-src 'unsafe-inline' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='", ";; SCRIPT-SRC 'none';",
]  # fmt: skip
SNIFFED = [
    (), fields(SNIFF, "nosniff"), fields(SNIFF, "NoSniff"), fields(SNIFF, "nosniff, x"), fields(SNIFF, "x, nosniff"),
    fields(SNIFF, "x", SNIFF, "nosniff"), fields(SNIFF, ", nosniff"), fields(SNIFF, '"nosniff"'),
]  # fmt: skip
COOKIES = [
    "a=1", "__Host-a=1; Path=/; Secure", "__Host-a=1; Path=/", "__Host-a=1; Secure; Path=/x", "__Host-a=1; Secure",
    "__Host-a=1; Path=/; Secure; Domain=localhost", "__host-a=1; Path=/", "__Secure-a=1; Secure", "__Secure-a=1",
    "a=1; SameSite=None", "a=1; SameSite=None; Secure", "a=1; Domain=elsewhere.example", "a=1; SameSite=Whatever",
    "a=1; SameSite=None; SameSite=Lax", "a=1; Secure=no", "a=; Max-Age=0", "a=1; Max-Age=-1",
]  # fmt: skip
SHARED = [
    (), fields(ALLOW, "*"), fields(ALLOW, "ORIGIN"), fields(ALLOW, "*", WITH, "true"),
    fields(ALLOW, "ORIGIN", WITH, "true"),
    fields(ALLOW, "ORIGIN", WITH, "True"), fields(ALLOW, "ORIGIN, ORIGIN", WITH, "true"),
    fields(ALLOW, "ORIGIN", ALLOW, "ORIGIN", WITH, "true"), fields(ALLOW, "ORIGIN/", WITH, "true"),
    fields(ALLOW, "null", WITH, "true"), fields(ALLOW, "ORIGIN", WITH, "true", WITH, "true"),
]  # fmt: skip
# {C} is a <meta> whose policy keeps the script behind it from running, where browsers honour it
C = '<meta http-equiv="Content-Security-Policy" content="script-src &#39;none&#39;">'
METAS = [
    "<head>{C}</head>", "{C}", "<title>x</title>{C}", "<body>{C}", "<head></head>{C}<body>", "<head></head>text{C}",
    "<head><div></div>{C}</head>", "<head><noscript>{C}</noscript></head>", "<head><template>{C}</template></head>",
    "<head><template><template></template>{C}</template></head>", "<head><template></template>{C}</head>",
    "<head><!-- {C} --></head>", "<head><!-->{C}</head>", "<head><!--->{C}</head>", "<head><!-- --!>{C}</head>",
    "<head><!x {C} ></head>", "<head><title>{C}</title></head>", "<head><title>a</title b='>'>{C}</head>",
    "<head><style>{C}</style></head>", "<head><style></style {C}</head>", "<svg>{C}</svg>", "<head>text{C}</head>",
    "<head> \n {C}</head>", "<head>&nbsp;{C}</head>", "<head></p>{C}</head>", "<head></br>{C}</head>",
    "<head><link rel=x><base href=/>{C}", "<head><p>{C}", "<head><script></script>{C}</head>",
    "<head><script>'<!--'</script>{C}<!-- --></head>", "<head><script>'<!--<script '</script>'{C}-->'</script></head>",
    "<head><script>'<!-->'</script>{C}</head>", "<head></head><noscript></noscript>{C}", "<head><head>{C}</head>",
    "<html lang='>'><head>{C}", "<head><a {C}</head>", "<head></head></head>{C}", "<head><</head>{C}", "</div>{C}",
    "<head></head><link rel=x>{C}", "<head><noframes>{C}</noframes></head>", "<head></html>{C}", "<frame>{C}",
    '<meta http-equiv=" Content-Security-Policy " content="script-src \'none\'">',
    '<META HTTP-EQUIV=content-security-policy CONTENT="script-src \'none\'"/>',
    '<meta http-equiv=x http-equiv=Content-Security-Policy content="script-src \'none\'">',
    '<meta content="script-src \'none\'" name=x http-equiv="Content-Security-Policy" content="script-src *">',
    '<meta http-equiv="Content-Security&#45;Policy" content="script-src &apos;none&apos;">',
    '<meta http-equiv=Content-Security-Policy content = "script-src&Tab;&#x27none&#39">',
    '<meta http-equiv=Content-Security-Policy/ content="script-src \'none\'">',
    '<meta/http-equiv="Content-Security-Policy"/content="script-src \'none\'">',
    '<meta http-equiv="Content-Security-Policy"content="script-src \'none\'">',
    "<meta =http-equiv=x http-equiv='Content-Security-Policy' content=\"script-src 'none'\">",
    "<meta http-equiv=Content-Security-Policy content=\"img-src 'none'&ampscript-src; script-src 'none'\">",
]  # fmt: skip
# what may load a script from http://localhost:PORT; {P} is the port
SOURCES = [
    "'self'", "self", "localhost:{P}", "LOCALHOST:{P}", "http://localhost:{P}", "http:", "HTTP:", "https:", "*",
    "*:{P}",
    "*:*", "http://*:{P}", "http://*:*", "localhost", "localhost:*", "//localhost:{P}", "localhost:{P}/source/",
    "localhost:{P}/sour", "localhost:{P}/other/", "localhost:{P}/*", "*.localhost:{P}", "local*:{P}", "'none'",
    "'none' localhost:{P}", "http:/localhost:{P}", "http:///", "localhost:{P}?x", "'SELF'", "'self", "ws:", "data:",
    "'strict-dynamic' *", "'nonce-bm9uY2U=' *", "'sha256-bm9uY2U=' *", "'unsafe-inline'", "localhost.:{P}", "http",
]  # fmt: skip
PAGE = """\
<!doctype html><title>cases</title><pre id="seen"></pre><script>
const seen = new Set();
addEventListener("message", event => seen.add(event.data));
const wait = ms => new Promise(done => setTimeout(done, ms));
const frame = url => {{ const made = document.createElement("iframe"); made.src = url; document.body.append(made); }};
const run = async () => {{
  for (let n = 0; n < {frames}; n++) frame("{other}/frame/" + n);
  for (let n = 0; n < {scripts}; n++) frame("/script/" + n);
  for (let n = 0; n < {metas}; n++) frame("/meta/" + n);
  for (let n = 0; n < {sources}; n++) frame("/sources/" + n);
  for (let n = 0; n < {sniffed}; n++) {{
    const made = document.createElement("script"); made.src = "/sniffed/" + n; document.body.append(made);
  }}
  for (let n = 0; n < {cookies}; n++) {{
    await fetch("/cookie-" + n);
    if (document.cookie) seen.add("cookie/" + n);
    await fetch("/forget");
  }}
  for (let n = 0; n < {shared}; n++)
    await fetch("{other}/shared/" + n, {{credentials: "include"}}).then(() => seen.add("shared/" + n), () => 0);
  await wait(2000);
  document.getElementById("seen").textContent = JSON.stringify([...seen, "done"]);
}};
run();
</script>"""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kind, _, number = self.path[1:].replace("cookie-", "cookie/").partition("/")
        origin = f"http://localhost:{self.connection.getsockname()[1]}"
        say = f'parent.postMessage("{kind}/{number}", "*")'
        if kind == "":
            other = origin.replace("localhost", "127.0.0.1")
            page = PAGE.format(other=other, frames=len(FRAMES), scripts=len(SCRIPTS), sniffed=len(SNIFFED),
                               cookies=len(COOKIES), shared=len(SHARED), metas=len(METAS),
                               sources=len(SOURCES))  # fmt: skip
            self._answer(page, ())
        elif kind == "frame":
            self._answer(f"<script>{say}</script>", FRAMES[int(number)])
        elif kind == "script":
            self._answer(f"<script>{say}</script>", fields(POLICY, SCRIPTS[int(number)]))
        elif kind == "meta":
            self._answer(f"<!doctype html>{METAS[int(number)].replace('{C}', C)}<script>{say}</script>", ())
        elif kind == "sources":
            port = str(self.connection.getsockname()[1])
            policy = f"script-src {SOURCES[int(number)].replace('{P}', port)}"
            self._answer(f'<script src="/source/{number}"></script>', fields(POLICY, policy))
        elif kind == "source":
            self._answer(say.replace("source/", "sources/"), (), "text/javascript")
        elif kind == "sniffed":
            self._answer(say, SNIFFED[int(number)], "text/plain")
        elif kind == "cookie":
            self._answer("", fields("Set-Cookie", COOKIES[int(number)]))
        elif kind == "forget":
            names = ("a", "__Host-a", "__host-a", "__Secure-a")
            self._answer("", tuple(("Set-Cookie", f"{each}=; Max-Age=0; Path=/; Secure") for each in names))
        else:
            found = SHARED[int(number)] if kind == "shared" else ()
            self._answer("{}", tuple((name, value.replace("ORIGIN", origin)) for name, value in found))

    def _answer(self, text: str, more: Fields, kind: str = "text/html") -> None:
        self.send_response(200)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(text))), *more):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], str]:
    """What the browser let happen, and the origin of the page that asked."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium, whose behaviour is compared; install: apt-get install chromium")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True).start()
    origin = f"http://localhost:{server.server_address[1]}"
    words = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}", "--host-resolver-rules=MAP localhost 127.0.0.1",
        "--virtual-time-budget=20000", "--dump-dom", f"{origin}/",
    ]  # fmt: skip
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    finally:
        server.shutdown()
        server.server_close()
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.S)
    happened = set(json.loads(found[1])) if found and found[1] else set()
    assert "done" in happened, done.stdout[-500:] + done.stderr[-2000:]
    return happened, origin


def cases(kind: str, ours: Callable[[int], bool], count: int, happened: set[str]) -> dict[int, tuple[bool, bool]]:
    """Number of a case -> (browser, ours) where the two differ."""
    both = {number: (f"{kind}/{number}" in happened, ours(number)) for number in range(count)}
    assert {each[0] for each in both.values()} == {True, False}, both  # the browser did something, and not everything
    return {number: each for number, each in both.items() if each[0] != each[1]}


def test_frames(seen: tuple[set[str], str]) -> None:
    assert not cases("frame", lambda number: bool(framing.judged(FRAMES[number]).failed), len(FRAMES), seen[0])


def test_inline_scripts(seen: tuple[set[str], str]) -> None:
    def runs(number: int) -> bool:
        found = csp.policies(fields(POLICY, SCRIPTS[number]))
        return csp.allowed_by_all(found, lambda policy: csp.allows_inline(policy.scripts))

    assert not cases("script", runs, len(SCRIPTS), seen[0])


def test_policies_in_pages(seen: tuple[set[str], str]) -> None:
    """A <meta> counts where the parser puts it into the head."""

    def runs(number: int) -> bool:
        found = csp.policies((), html.head_of(METAS[number].replace("{C}", C)).csp)
        return csp.allowed_by_all(found, lambda policy: csp.allows_inline(policy.scripts))

    assert not cases("meta", runs, len(METAS), seen[0])


def test_source_lists(seen: tuple[set[str], str]) -> None:
    """Grammar and matching of sources (CSP Level 3, 2.3.1 and 6.7.2)."""
    port = seen[1].rpartition(":")[2]

    def loads(number: int) -> bool:
        sources = tuple(SOURCES[number].replace("{P}", port).split())
        return csp.allows_url(sources, f"{seen[1]}/source/{number}", seen[1])

    assert not cases("sources", loads, len(SOURCES), seen[0])


def test_scripts_of_another_type(seen: tuple[set[str], str]) -> None:
    assert not cases("sniffed", lambda number: not content_type.nosniff(SNIFFED[number]), len(SNIFFED), seen[0])


def test_cookies(seen: tuple[set[str], str]) -> None:
    def taken(number: int) -> bool:
        cookie = cookies.parse(COOKIES[number], now=0.0)
        assert cookie is not None
        return not cookie.removed and not cookies.refused(cookie, "localhost", https=True)

    assert not cases("cookie", taken, len(COOKIES), seen[0])


def test_reading_with_credentials(seen: tuple[set[str], str]) -> None:
    def read(number: int) -> bool:
        origin = seen[1]
        answer = tuple((name, value.replace("ORIGIN", origin)) for name, value in SHARED[number])
        return cors.readable(answer, origin, credentials=True)

    assert not cases("shared", read, len(SHARED), seen[0])
