"""Services behind a fixed bearer token or API key: who may, and what must be refused, by real servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jwt
import pytest

from pytest_prodcheck.environments.sections.load import Load
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load.requests import planned_requests
from pytest_prodcheck.evidence.login.sessions import session_of
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, Web, web
from tests.project import Project

TOKEN = "canary-fixed-token-0123456789"
OTHER = "canary-of-a-writer-9876543210"
SIGNED = jwt.encode({"sub": "machine"}, "a-secret-that-nobody-guesses-0123456789", algorithm="HS256")
BEARER: dict[str, str] = {}
API_KEY = {"header": "X-API-Key"}
WAYS = {
    "bearer": (BEARER, "Authorization", "Bearer "),
    "api key": (API_KEY, "X-API-Key", ""),
    "scheme": ({"scheme": "Token"}, "Authorization", "Token "),
    "bare": ({"scheme": ""}, "Authorization", ""),
    "scheme in a header": ({"header": "X-Auth", "scheme": "Key"}, "X-Auth", "Key "),
}
CHECKS = [
    "smoke.auth.*", "smoke.api.endpoint", "security.authorization.roles", "security.authentication.tokens",
    "security.headers.caching",
]  # fmt: skip
Opens = Callable[[str], bool]
SERVICES: dict[str, Opens] = {
    "right": lambda shown: shown == TOKEN,
    "unguarded": lambda shown: True,
    "gullible": bool,  # any token will do
}


def server(header: str, scheme: str, opens: Opens, token: str = TOKEN) -> Callable[[Seen], Answer]:
    def answer(seen: Seen) -> Answer:
        sent = seen.headers.get(header, "")
        shown = sent.removeprefix(scheme).replace(token, TOKEN) if sent.startswith(scheme) else ""
        kind = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if seen.path == "/healthz":
            return 200, kind, b'{"ok": true}'
        if shown == OTHER and opens is SERVICES["right"]:
            return (200 if seen.path == "/me" else 403), kind, b"{}"
        return (200, kind, json.dumps({"you": sent}).encode()) if opens(shown) else (401, kind, b"")

    return answer


@pytest.fixture
def servers() -> Iterator[Callable[[Callable[[Seen], Answer]], Web]]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(web(answer))


def toml(ports: dict[str, int], settings: dict[str, str], token: str = "FIXED_TOKEN") -> str:
    services = "".join(
        f"""[environments.dev.services.{name}]
url = "http://127.0.0.1:{port}"
health = "/healthz"
endpoints.orders = {{ request = "GET /orders", as = "reader", status = 200, allow = ["reader"] }}
"""
        for name, port in ports.items()
    )
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    return f"""version = 1
project = "t"
[gates.g]
select = {json.dumps(CHECKS)}
[environments.dev]
revision = "r1"
{services}[environments.dev.auth]
kind = "token"
service = "right"
login = "GET /me"
{more}roles.reader = {{ token = {{ env = "{token}" }} }}
roles.writer = {{ token = {{ env = "OTHER_TOKEN" }} }}
"""


@pytest.mark.parametrize("way", ["bearer", "api key"])
def test_who_is_let_in_is_judged(
    way: str, servers: Callable[[Callable[[Seen], Answer]], Web], tmp_path: Path
) -> None:
    """The right service passes; one that checks nothing and one that takes any token fail. No output has the token."""
    settings, header, scheme = WAYS[way]
    ports = {name: servers(server(header, scheme, opens)).port for name, opens in SERVICES.items()}
    project = Project.make(tmp_path, toml(ports, settings), checks="")
    project.environ.update(FIXED_TOKEN=TOKEN, OTHER_TOKEN=OTHER)
    done = project.pytest("--gate", "g", "--prodcheck-select", "--prodcheck-json", "out.json", "--junitxml", "out.xml")
    results = json.loads((tmp_path / "out.json").read_text())["run"]["results"]
    found = {(each["check"], each["target"]): each for each in results}
    met: dict[str, Any] = {key[0] + " " + key[1]: each["outcome"] for key, each in found.items()}
    assert met["smoke.auth.login reader"] == met["smoke.auth.login writer"] == "passed", done.stdout
    for check, of in (("smoke.auth.required", ".orders"), ("security.authorization.roles", ".orders"),
                      ("security.authentication.tokens", "")):  # fmt: skip
        assert [met[f"{check} {each}{of}"] for each in SERVICES] == ["passed", "failed", "failed"], (check, met)
    assert "a garbage token" in found["smoke.auth.required", "gullible.orders"]["reason"]
    assert "no token" not in found["smoke.auth.required", "gullible.orders"]["reason"]
    written = [each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()]
    for secret in (TOKEN, OTHER):
        assert secret not in done.stdout + done.stderr
        assert not any(secret.encode() in each for each in written)


def context_of(root: Path, port: int, settings: dict[str, str], token: str = TOKEN) -> Any:
    (root / "token").write_text(token + "\n", encoding="utf-8")
    endpoints = {"orders": {"request": "GET /orders", "as": "reader", "status": 200, "allow": ["reader"]}}
    auth = {"kind": "token", "service": "s", "login": "GET /orders", "roles": {"reader": {"token": {"file": "token"}}}}
    services = {"s": {"url": f"http://127.0.0.1:{port}", "endpoints": endpoints}}
    return context_for(root, services=services, auth={**auth, **settings})


@pytest.mark.parametrize("way", WAYS)
def test_the_token_is_carried_as_declared(way: str, tmp_path: Path) -> None:
    """By checks, in forgeries and in a load; the wrong token is random and as long."""
    settings, header, scheme = WAYS[way]
    with web(server(header, scheme, SERVICES["right"])) as running:
        given, deadline = context_of(tmp_path, running.port, settings), Deadline(10)
        login = find("auth-login").gather("reader", given, deadline)
        guarded = find("auth-required").gather("s.orders", given, deadline)
        sent = [each.headers.get(header, "") for each in running.requests]
        tokens = find("auth-tokens").gather("s", given, deadline)
        load = Load.model_validate({"hosts": ["127.0.0.1"], "mix": {"s.orders": 1}, "rate": 1, "duration": "10s"})
        (planned,) = planned_requests(load, given.environment, {}).values()
        raw = planned.raw(session_of(given, "reader", deadline), given, deadline)
    assert (login.granted, login.carrier) == (True, "bearer" if header == "Authorization" else "header")
    assert [each.status for each in (guarded.anonymous, guarded.garbage, guarded.control)] == [401, 401, 200]
    assert sent[:2] == [f"{scheme}{TOKEN}", ""]
    assert sent[2].startswith(scheme)
    assert len(sent[2]) == len(sent[0])
    assert sent[2] != sent[0]
    assert (tokens.kind, tokens.before.exchange.status, tokens.after.exchange.status) == ("opaque", 200, 200)
    assert {each.entry.exchange.status for each in tokens.forged} == {401}
    assert f"{header}: {scheme}{TOKEN}" in str(raw)
    for found in (login, guarded, tokens):
        assert TOKEN not in repr(found)


def test_a_json_web_token_is_forged(tmp_path: Path) -> None:
    with web(server("X-API-Key", "", SERVICES["gullible"], SIGNED)) as running:
        given = context_of(tmp_path, running.port, API_KEY, SIGNED)
        found = find("auth-tokens").gather("s", given, Deadline(20))
    assert found.kind == "jwt"
    opened = {each.case for each in found.forged if each.entry.exchange.status == 200}
    assert {"algorithm none", "signature changed", "signed with another key"} <= opened
    assert SIGNED.split(".")[1] not in repr(found)


def test_a_token_that_opens_nothing_is_no_login(tmp_path: Path) -> None:
    with web(server("Authorization", "Bearer ", SERVICES["right"])) as running:
        given = context_of(tmp_path, running.port, BEARER, "canary-rotated-long-ago")
        login = find("auth-login").gather("reader", given, Deadline(10))
    assert (login.granted, login.reason) == (False, "answered 401")


@pytest.mark.parametrize("token", ["two words canary", "canary\nsecond-line", "canary-umlaut-ü"])
def test_what_is_no_token_is_not_sent(token: str, tmp_path: Path) -> None:
    with web(server("Authorization", "Bearer ", SERVICES["right"])) as running:
        given = context_of(tmp_path, running.port, BEARER, token)
        with pytest.raises(EvidenceProblem, match="is not a token") as met:
            find("auth-login").gather("reader", given, Deadline(10))
    assert token not in str(met.value)
    assert running.requests == []
