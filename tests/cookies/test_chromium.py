"""Our cookie store and a real Chromium keep and send the same, over a hundred answers."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import trustme

from pytest_prodcheck.cookies import CookieStore
from tests.chromium import FINISH, browse
from tests.evidence.http.servers import read_request
from tests.evidence.network.speakers import raw_server

# what `https://www.shop.test/dir/set` sets; N: the case's own number, so that cases do not meet
CASES: list[tuple[str, ...]] = [
    ("cN=1",), ("cN=1; Path=/",), ("cN=1; Path=/dir",), ("cN=1; Path=/dir/",), ("cN=1; Path=/di",), ("cN=1; Path=dir",),
    ("cN=1; Path=",), ("cN=1; Path=/; Path=/dir",), ("cN=1; Path=/other",), ("cN=1; path=\t/",),
    ("cN=1; Domain=shop.test; Path=/",), ("cN=1; Domain=.shop.test; Path=/",), ("cN=1; Domain=www.shop.test; Path=/",),
    ("cN=1; Domain=api.shop.test; Path=/",), ("cN=1; Domain=test; Path=/",), ("cN=1; Domain=hop.test; Path=/",),
    ("cN=1; Domain=; Path=/",), ("cN=1; Domain=shop.test; Domain=; Path=/",), ("cN=1; Domain=SHOP.TEST; Path=/",),
    ("cN=1; Domain=..shop.test; Path=/",), ("cN=1; Domain=shop.test.; Path=/",), ("cN=1; Domain=com; Path=/",),
    ("cN=1; Domain=x.test, shop.test; Path=/",), ("cN=1; Domain = shop.test ; Path=/",),
    ("cN=1; Path=/; Secure",), ("cN=1; Path=/; HttpOnly",), ("cN=1; Path=/; SameSite=None; Secure",),
    ("cN=1; Path=/; SameSite=None",), ("cN=1; Path=/; SameSite=Strict",), ("cN=1; Path=/; SameSite=Nonsense",),
    ("__Host-cN=1; Path=/; Secure",), ("__Host-cN=1; Path=/",), ("__Host-cN=1; Secure",),
    ("__Host-cN=1; Path=/dir; Secure",),
    ("__Host-cN=1; Path=/; Secure; Domain=www.shop.test",), ("__host-cN=1; Path=/",),
    ("__Secure-cN=1; Path=/; Secure",),
    ("__Secure-cN=1; Path=/",), ("__SECURE-cN=1; Path=/",), ("=__Host-cN=1; Path=/; Secure",), ("__Secure-cN; Path=/",),
    ("__Http-cN=1; Path=/; Secure; HttpOnly",), ("__Http-cN=1; Path=/; Secure",), ("__Http-cN=1; Path=/; HttpOnly",),
    ("__Host-Http-cN=1; Path=/; Secure; HttpOnly",), ("__host-http-cN=1; Path=/; Secure",),
    ("__Host-Http-cN=1; Path=/dir; Secure; HttpOnly",), ("__Secure-Http-cN=1; Path=/; Secure",),
    ("cN=1; Path=/; Max-Age=100",), ("cN=1; Path=/; Max-Age=0",), ("cN=1; Path=/; Max-Age=-1",),
    ("cN=1; Path=/; Max-Age=x",), ("cN=1; Path=/; Max-Age=",), ("cN=1; Path=/; Max-Age=100; Max-Age=0",),
    ("cN=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",), ("cN=1; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT",),
    ("cN=1; Path=/; Expires=Wednesday, 21-Oct-99 07:28:00 GMT",), ("cN=1; Path=/; Expires=21 Oct 2010",),
    ("cN=1; Path=/; Expires=07:28:00 21 oct 2010",), ("cN=1; Path=/; Expires=never",), ("cN=1; Path=/; Expires=0",),
    ("cN=1; Path=/; Expires=Wed Oct 21 07:28:00 2010",), ("cN=1; Path=/; Expires=Wed, 31 Feb 2010 07:28:00 GMT",),
    ("cN=1; Path=/; Max-Age=100; Expires=Thu, 01 Jan 1970 00:00:00 GMT",), ("cN=1; Path=/; Expires=1-Jan-1600 0:0:0",),
    ("cN=" + "x" * 4000 + "; Path=/",), ("cN=" + "x" * 4096 + "; Path=/",), ("c" + "y" * 4200 + "N=1; Path=/",),
    ("cN=1; Path=/" + "d" * 1020,), ("cN=1; Path=/" + "d" * 1025,), ("cN=1; Domain=shop.test; Domain=" + "d" * 1030,),
    ("cN=1; Path=/; X=" + "x" * 5000,),
    ("cN; Path=/",), ("cN=; Path=/",), ("=cN; Path=/",), ("; Path=/",), ("=; Path=/",), ("cN=a=b; Path=/",),
    ('cN="a b"; Path=/',), ("cN=a,b; Path=/",), ("cN = a ; Path=/",), ("cN=\xe9; Path=/",), ("cN=a\tb; Path=/",),
    ("cN=a\x01b; Path=/",), ("cN=a; Path=/; X=\x02",), ("c\x7fN=a; Path=/",),
    ("cN=1; Path=/", "cN=2; Path=/"), ("cN=1; Path=/", "cN=2; Path=/dir"), ("cN=1; Path=/dir", "cN=2; Path=/"),
    ("cN=1; Path=/; Domain=shop.test", "cN=; Path=/; Max-Age=0"),
    ("cN=1; Path=/", "cN=; Path=/; Max-Age=0; Domain=shop.test"), ("cN=1; Path=/; Domain=shop.test", "cN=2; Path=/"),
    ("cN=1; Path=/", "cN=2; Path=/; Domain=www.shop.test"), ("cN=1; Path=/", "cN=; Path=/; Max-Age=0"),
    ("cN=1; Path=/; Domain=shop.test", "cN=; Path=/; Domain=.shop.test; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
    ("cN=1; Path=/dir", "cN=; Path=/; Max-Age=0"), ("cN=1; Path=/; Secure", "cN=2; Path=/"),
    ("cNb=1; Path=/", "cNa=2; Path=/", "cNb=3; Path=/"), ("cNb=1; Path=/", "cNa=2; Path=/dir", "cNc=3; Path=/"),
    ("cN=1; Path=/; Partitioned",), ("cN=1; Path=/; Secure; Partitioned",), ("cN=1; SECURE; PATH=/; HTTPONLY",),
    ("cN=1 Path=/",), ("cN=1;Path=/;Secure",), ("cN=1;;;Path=/",), ("cN=1; Path=/; Secure=false",),
    ('cN=1; Path="/"',),
]  # fmt: skip
PLACES = (
    "https://www.shop.test/dir/see", "https://www.shop.test/dir", "https://www.shop.test/see",
    "https://www.shop.test/directory/see", "https://shop.test/dir/see", "https://api.www.shop.test/dir/see",
)  # fmt: skip
SET = "https://www.shop.test/dir/set"


def our_cookie_headers(lines: tuple[str, ...]) -> list[str]:
    store = CookieStore()
    store.take(SET, [("Set-Cookie", each) for each in lines])
    return [store.header(each) for each in PLACES]


def test_chromium_sends_the_same(tmp_path: Path) -> None:
    """Each case alone: Chromium forgets in between what it has, by an answer with Clear-Site-Data."""
    ca = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("shop.test", "*.shop.test", "*.www.shop.test").configure_cert(tls)
    cases = [tuple(line.replace("N", str(number)) for line in lines) for number, lines in enumerate(CASES)]
    hosts = [each.split("/")[2] for each in PLACES]

    def speak(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as inner:
            head = read_request(inner).decode("latin-1")
            fields = {name.lower(): value for name, _, value in (each.partition(": ") for each in head.split("\r\n"))}
            path = head.split()[1]
            more = [
                f"Access-Control-Allow-Origin: {fields.get('origin', '*')}",
                "Access-Control-Allow-Credentials: true",
            ]
            body = fields.get("cookie", "").encode("latin-1").hex().encode()
            if path.startswith("/dir/set?"):
                more += [f"Set-Cookie: {each}" for each in cases[int(path.partition("?")[2])]]
            elif path == "/forget":
                more.append('Clear-Site-Data: "cookies"')
            elif path == "/":
                body = page
            text = "\r\n".join(
                ["HTTP/1.1 200 OK", "Content-Type: text/html", *more, f"Content-Length: {len(body)}", "", ""]
            )
            inner.sendall(text.encode("latin-1") + body)

    with raw_server(speak) as port:
        places = [each.replace(host, f"{host}:{port}") for each, host in zip(PLACES, hosts, strict=True)]
        page = f"""<!doctype html><pre id="seen"></pre><script>(async () => {{
          const seen = [];
          for (let n = 0; n < {len(cases)}; n++) {{
            await fetch("/dir/set?" + n);
            const all = {json.dumps(places)}.map(url => fetch(url, {{credentials: "include"}}).then(r => r.text()));
            seen.push(await Promise.all(all));
            await fetch("/forget");
          }}
          {FINISH} }})()</script>""".encode()
        seen = browse(
            f"https://www.shop.test:{port}/", tmp_path, "--ignore-certificate-errors",
            "--host-resolver-rules=MAP *.test 127.0.0.1", seconds=100,
        )  # fmt: skip
    assert len(cases) >= 100
    differing = []
    for lines, theirs in zip(cases, seen, strict=True):
        told = [bytes.fromhex(each).decode("latin-1") for each in theirs]
        if told != our_cookie_headers(lines):
            differing.append(([each[:80] for each in lines], told, our_cookie_headers(lines)))
    assert not differing, "\n".join(map(repr, differing))
