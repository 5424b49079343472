"""A server that gives back every token it was sent: no token, nor what it is made of, is to be read in any artefact."""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from pathlib import Path

import pytest

from pytest_prodcheck.demo.shop.tokens import Issuer, samples
from tests.evidence.http.servers import Answer, Seen, web
from tests.project import Project

NONE: frozenset[str] = frozenset()
PASSWORD = "c4nary-password-0815"
TOML = """\
version = 1
project = "tokens"

[environments.dev]
revision = "r1"
[environments.dev.services.shop]
url = "http://127.0.0.1:{port}"
[environments.dev.services.shop.endpoints]
account = {{ request = "GET /account", status = 200, allow = ["ann", "bob"] }}
report = {{ request = "GET /report", as = "ann", status = 200, allow = ["ann"] }}
price = {{ request = "PUT /price", json = {{ a = 1 }}, allow = ["ann"], control = "report" }}
stranger = {{ request = "GET /report", as = "bob", status = 403, control = "report" }}

[environments.dev.auth]
kind = "json"
service = "shop"
login = "POST /login"
logout = "POST /logout"
token = "/token"
cookie = "session"
throttling = {{ user = "eve" }}
tokens = {{ jwks = "/jwks", refused = {{ expired = {{ file = "expired" }} }} }}
roles.ann = {{ user = "ann", password = {{ env = "CANARY" }} }}
roles.bob = {{ user = "bob", password = {{ env = "CANARY" }} }}
"""


class Echo:
    """Lets everybody in who shows any token, and gives it back in body and headers."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.given: list[str] = []

    def __call__(self, seen: Seen) -> Answer:
        if seen.path == "/jwks":
            return 200, {}, json.dumps(self.issuer.jwks(NONE)).encode()
        if seen.path == "/login":
            told = json.loads(seen.body)
            if told["password"] != PASSWORD:
                return 401, {}, seen.body
            user = told["username"]
            token = self.issuer.sign(self.issuer.claims(user, user, f"c4nary-session-{user}-{len(self.given)}", 600))
            self.given.append(token)
            cookie = f"c4nary-cookie-{user}"
            return 200, {"Set-Cookie": f"session={cookie}; Path=/"}, json.dumps({"token": token, "c": cookie}).encode()
        shown = seen.headers.get("Authorization", "") + seen.headers.get("Cookie", "")
        plain = shown.removeprefix("Bearer ")
        claims = plain.split(".")[1] if plain.count(".") > 0 else ""
        text = f"{shown} {plain} {claims} {base64.b64encode(plain.encode()).decode()} {seen.body!r}"
        return (200 if shown else 401), {"X-Echo": text, "Location": f"/?token={plain}"}, text.encode()


def test_no_token_is_readable_anywhere(tmp_path: Path) -> None:
    echo = Echo()
    expired = samples(echo.issuer, "ann", "ann", "c4nary-session-expired")["expired"]
    with web(echo) as server:
        project = Project.make(tmp_path / "project", toml=TOML.format(port=server.port), checks="")
        project.write("expired", expired)
        project.environ["CANARY"] = PASSWORD
        done = project.command(
            sys.executable, "-m", "pytest", "--env", "dev", "-p", "no:randomly", "-m", "security",
            "--prodcheck-report", "r.txt", "--prodcheck-json", "r.json", "--junit-xml", "r.xml", "--html", "r.html",
            "-rA", "--showlocals", "-vv", "-o", "junit_logging=all", timeout=240,
        )  # fmt: skip
        told = [done.stdout, done.stderr, project.prodcheck("plan", "-m", "security", "--env", "dev").stdout]
        sent = "\n".join(str(each.headers) for each in server.requests)
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    report = (project.folder / "r.txt").read_text(encoding="utf-8")
    for name in ("authentication.tokens", "authorization.roles", "authorization.ownership", "authentication.logout"):
        assert f"security.{name}" in report
    assert expired in sent  # it was really used
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("expired", "prodcheck.toml")]
    texts = {str(path): path.read_text(encoding="utf-8", errors="replace") for path in files}
    assert {Path(name).name for name in texts} >= {"r.txt", "r.json", "r.xml", "r.html", "run.json"}
    texts |= {f"output {number}": text for number, text in enumerate(told)}
    secrets = {PASSWORD, "c4nary-session", "c4nary-cookie"}
    for token in (*echo.given, expired):
        secrets |= {token, *token.split(".")[1:]}
    found = [f"{secret!r} in {where}" for where, text in texts.items() for secret in secrets if secret in text]
    assert not found, "\n".join(found[:10])
    left = {part for text in texts.values() for part in re.findall(r"eyJ[A-Za-z0-9_-]{10,}", text)}
    claims = [part for part in left if b'"sub"' in base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))]
    assert claims == []  # nor those of forged ones


@pytest.mark.parametrize("count", [25])
def test_secrets_of_many_tokens_cost_little(count: int) -> None:
    """All forgeries of a token share their claims: few further secrets, for each makes redaction slower."""
    from pytest_prodcheck.environments.redaction import Redactor
    from pytest_prodcheck.evidence.access.token_forging import forgeries, parse

    jwt = parse(Issuer().sign({"sub": "ann", "exp": 1}))
    assert jwt is not None
    bodies = {each.token.split(".")[1] for each in forgeries(jwt)}
    assert len(bodies) == 2
    redactor, began = Redactor(), time.process_time()
    for body in bodies:
        redactor.add(body)
    for _ in range(count):
        redactor.redact("a short text that holds nothing")
    assert time.process_time() - began < 1
