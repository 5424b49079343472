"""A real browser keeps the HSTS policies that we say it keeps: it asks over TLS for what a page has over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pytest_prodcheck.judging.headers import hsts
from tests.chromium import FINISH, browse
from tests.evidence.http.servers import Answer, Seen, web

CASES = [
    "max-age=31536000", 'max-age="31536000"', "max-age=31536000; includeSubDomains", "MAX-AGE=31536000",
    "max-age=31536000; includeSubDomains; preload", "max-age=31536000;", "; max-age=31536000", ";;max-age=31536000;;",
    "max-age = 31536000", "max-age=31536000 ; preload", "max-age=0", 'max-age=31536000; unknown="x;y"',
    "max-age=31536000; includeSubDomains=true", "max-age=31536000; includeSubDomains=",
    'max-age=31536000; includeSubDomains=""', "includeSubDomains; max-age=31536000", "max-age=31536000; preload=x",
    "max-age=31536000; x=a b", "max-age=31536000, includeSubDomains", "max-age=31536000 includeSubDomains",
    "max-age=31536000; include SubDomains", "max-age:31536000", "max-age=3153600.0", "max-age=-1",
    "max-age=+31536000", "max-age=1e9", "max-age='31536000'", '"max-age=31536000"', "max-age", "max-age=",
    "includeSubDomains", "max-age=31536000; max-age=31536000",
    "max-age=31536000; includeSubDomains; includeSubDomains", "max-age=31536000; x; x", "max-age=31536000; ;preload",
    "max-age=99999999999999999999999", "max-age=31536000s", "max-age=31536000;includeSubDomains;preload;",
    "max-age=31536000; =x", "max-age=31536000; x=", 'max-age="31536000', 'max-age=31536000; x="',
    "max-age=31536000; é", "maxage=31536000", "max-age=31 536000", "Strict-Transport-Security: max-age=31536000",
    'max-age=\\"31536000\\"', "max-age=31536000; 'x'", "max-age=31536000; (x)", "max-age=31536000; x=(y)",
]  # fmt: skip


def test_chromium_keeps_the_same(tmp_path: Path) -> None:
    ca = trustme.CA()
    leaf = ca.issue_cert("*.test")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(tls)
    public = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_key()
    pin = hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()

    def secure(seen: Seen) -> Answer:
        number, _, ask = seen.path.removeprefix("/").partition("?")
        fields = {} if ask else {"Strict-Transport-Security": CASES[int(number)]}
        return 200, {"Content-Type": "text/javascript", **fields}, f"seen[{number}] = {json.dumps(bool(ask))};".encode()

    def plain(seen: Seen) -> Answer:
        if seen.path == "/":
            return 200, {"Content-Type": "text/html"}, page
        return 200, {"Content-Type": "text/javascript"}, f"seen[{seen.path[1:-4]}] = false;".encode()

    page = f"""<!doctype html><pre id="seen"></pre><script>const seen = [];
      const load = url => new Promise(done => {{ const one = document.createElement("script");
        one.src = url; one.onload = one.onerror = done; document.head.append(one); }});
      (async () => {{ for (let n = 0; n < {len(CASES)}; n++) {{
        await load(`https://c${{n}}.test/${{n}}`); await load(`http://c${{n}}.test/${{n}}?ask`); }}
      {FINISH} }})()</script>""".encode()
    with web(secure, tls) as over_tls, web(plain) as over_http:
        rules = f"MAP *.test:443 127.0.0.1:{over_tls.port}, MAP *.test:80 127.0.0.1:{over_http.port}"
        theirs = browse(
            "http://page.test/", tmp_path, f"--host-resolver-rules={rules}",
            f"--ignore-certificate-errors-spki-list={base64.b64encode(pin).decode()}",
            "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
        )  # fmt: skip
    assert theirs[0] is True, theirs
    ours = [bool(hsts.parse((("Strict-Transport-Security", each),)).max_age) for each in CASES]
    differing = [(case, one, two) for case, one, two in zip(CASES, theirs, ours, strict=True) if one is not two]
    assert not differing, "\n".join(map(repr, differing))
