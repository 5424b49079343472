"""What a real browser makes of Permissions-Policy and Referrer-Policy, and what we say of them."""

from __future__ import annotations

from pathlib import Path

from pytest_prodcheck.judging.headers import html, referrer
from pytest_prodcheck.judging.headers.hardening import judged
from tests.chromium import FINISH, browse
from tests.evidence.http.servers import Answer, Seen, web

PERMISSIONS = [
    "camera=()", "camera=(self)", "camera=*", "camera=(*)", "camera=(self *)", "camera=(* self)", 'camera=("*")',
    'camera="*"', 'camera=(self "*")', 'camera=("https://*.x.test")', "camera=self", "camera", "camera 'none'",
    "camera=(), microphone=()", "camera=();microphone=()", "camera=() microphone=()", "camera=(), camera=*",
    "camera=*, camera=()", "camera=none", "camera=('none')", 'camera=("https://x.test")', "Camera=()", "camera=(),",
    "camera=( )", "camera=(none)", "camera=(), x=?1", "camera=(), x=1.5", "camera=(), x=:aGk=:", 'camera=(), x="a"',
    "camera=(), unknown=(self)", "camera=(),,geolocation=()", "camera=?0", 'camera="none"', "camera= ()", "camera =()",
    "camera=(self *);a=1", "camera=(*;a=1)", "camera=*;a", "camera=(src)",
]  # fmt: skip
# field, content of a <meta>
REFERRERS = [
    ("", ""), ("no-referrer", ""), ("origin", ""), ("unsafe-url", ""), ("same-origin", ""), ("nonsense", ""),
    ("no-referrer, unsafe-url", ""), ("unsafe-url, no-referrer", ""), ("unsafe-url, nonsense", ""),
    ("no-referrer; unsafe-url", ""), ('"unsafe-url"', ""), ("UNSAFE-URL", ""), ("always", ""), ("never", ""),
    ("unsafe-url,", ""), ("", "always"), ("", "never"), ("", "origin-when-crossorigin"), ("", "default"),
    ("unsafe-url", "no-referrer"), ("no-referrer", "unsafe-url"), ("", "no-referrer, unsafe-url"), ("", "UNSAFE-URL"),
    ("", "unsafe-url no-referrer"), ("", " unsafe-url "), ("", "no-referrer "), ("unsafe-url", "\tno-referrer"),
]  # fmt: skip
FULL = ("unsafe-url", "no-referrer-when-downgrade")
ONE_BY_ONE = """<!doctype html><body><pre id="seen"></pre><script>const seen = []; (async () => {{
  for (let n = 0; n < {count}; n++) {{ const frame = document.createElement("iframe"); frame.src = "/frame/" + n + "?q";
    frame.allow = "camera *"; const done = new Promise(take => onmessage = event => take(event.data));
    document.body.append(frame); seen.push(await done); frame.remove(); }} {finish} }})()</script>"""


def page_of(count: int) -> Answer:
    return 200, {"Content-Type": "text/html"}, ONE_BY_ONE.format(count=count, finish=FINISH).encode()


def test_who_may_use_the_camera(tmp_path: Path) -> None:
    """All the policies that Chromium ignores are told, and all that let strangers use it."""

    def answer(seen: Seen) -> Answer:
        if seen.path == "/":
            return page_of(len(PERMISSIONS))
        number = int(seen.path.removeprefix("/frame/").partition("?")[0])
        script = "document.featurePolicy.allowsFeature('camera', 'https://strange.test')"
        own = "document.featurePolicy.getAllowlistForFeature('camera')"
        body = f"<script>parent.postMessage([{script}, {own}], '*')</script>".encode()
        return 200, {"Content-Type": "text/html", "Permissions-Policy": PERMISSIONS[number]}, body

    with web(answer, None) as server:
        seen = browse(f"http://localhost:{server.port}/", tmp_path)
        default = [f"http://localhost:{server.port}"]
    differing = []
    for sent, (strangers, allowed) in zip(PERMISSIONS, seen, strict=True):
        told = " ".join(judged((("Permissions-Policy", sent),), ()))
        if ("camera=*" in told) != strangers or ("cannot be read" in told and allowed != default):
            differing.append((sent, strangers, allowed, told))
    assert not differing, "\n".join(map(repr, differing))


def test_what_strangers_see_of_addresses(tmp_path: Path) -> None:
    got: dict[int, str] = {}

    def body_of(number: int) -> str:
        content = REFERRERS[number][1]
        return f'<!doctype html><head><meta name="referrer" content="{content}"></head>' if content else ""

    def answer(seen: Seen) -> Answer:
        kind, _, number = seen.path.partition("?")[0].removeprefix("/").partition("/")
        if not kind:
            return page_of(len(REFERRERS))
        if kind == "image":
            got[int(number)] = seen.headers.get("Referer", "")
            return 404, {}, b""
        sent = REFERRERS[int(number)][0]
        loads = f'src="http://other.test:{server.port}/image/{number}"'
        image = f"<body><img {loads} onerror=\"parent.postMessage(1, '*')\">"
        head = {"Content-Type": "text/html", **({"Referrer-Policy": sent} if sent else {})}
        return 200, head, (body_of(int(number)) + image).encode()

    with web(answer, None) as server:
        rules = "--host-resolver-rules=MAP *.test 127.0.0.1"
        browse(f"http://page.test:{server.port}/", tmp_path, rules)
    differing = []
    for number, (sent, content) in enumerate(REFERRERS):
        metas = html.head_of(body_of(number)).referrer
        ours = referrer.effective((("Referrer-Policy", sent),) if sent else (), metas)
        wanted = "full" if ours in FULL else "" if ours in ("no-referrer", "same-origin") else "origin"
        theirs = "full" if "/frame/" in got[number] else "origin" if got[number] else ""
        if wanted != theirs:
            differing.append((sent, content, ours, got[number]))
    assert not differing, "\n".join(map(repr, differing))
