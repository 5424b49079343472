"""A refusal by what stands before an API says nothing of its roles: HAProxy's rules, a limiter that answers 403."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evidence.http.servers import Answer, Seen, web
from tests.field.web.support import Results, free_port, judged, outcomes, program, running

HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend edge
  bind 127.0.0.1:{edge}
  {rule}
  default_backend api
backend api
  server one 127.0.0.1:{api}
"""
DENIED = "http-request deny deny_status 403 if METH_POST { path /price }"
ROLES = {"t-ann": "ann", "t-admin": "admin"}


class Api:
    """An API with bearer tokens. limit: answers to POST until all are refused by 403."""

    def __init__(self, open_to_all: bool = False, limit: int | None = None, without: int = 401) -> None:
        self.open_to_all, self.limit, self.without = open_to_all, limit, without

    def __call__(self, seen: Seen) -> Answer:
        kind = {"Content-Type": "application/json"}
        if seen.path == "/login":
            name = "admin" if b"admin" in seen.body else "ann"
            return 200, kind, f'{{"token": "t-{name}"}}'.encode()
        fields = {name.lower(): value for name, value in seen.headers.items()}  # HAProxy writes them small
        role = ROLES.get(fields.get("authorization", "").removeprefix("Bearer "))
        if seen.method == "POST":
            if self.limit is not None:
                self.limit -= 1
                if self.limit < 0:
                    return 403, {"Retry-After": "60"}, b""
            if self.open_to_all:
                return 200, kind, b"{}"
        if role is None:
            return self.without, {"WWW-Authenticate": "Bearer"}, b""
        return (200 if role == "admin" else 403), kind, b"{}"


def asked(port: int, folder: Path, who: str = "") -> Results:
    return judged(
        folder,
        f"""[environments.t.services.api]
url = "http://127.0.0.1:{port}"
[environments.t.services.api.endpoints]
report = {{ request = "GET /report", as = "admin", status = 200, allow = ["admin"] }}
price = {{ request = "POST /price", {who}json = {{}}, status = 200, allow = ["admin"], control = "report" }}
[environments.t.auth]
kind = "json"
service = "api"
login = "POST /login"
token = "/token"
roles.ann = {{ user = "ann", password = {{ env = "PW" }} }}
roles.admin = {{ user = "admin", password = {{ env = "PW" }} }}
""",
        ["smoke.auth.required", "security.authorization.roles"],
        env={"PW": "right-one"},
    )


@pytest.fixture(params=["open", "guarded"])
def behind_haproxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """An API of which HAProxy lets no POST through."""
    edge = free_port()
    with web(Api(open_to_all=request.param == "open")) as api:
        text = HAPROXY.format(edge=edge, api=api.port, rule=DENIED)
        (tmp_path / "haproxy.cfg").write_text(text, encoding="utf-8")
        with running([program("haproxy"), "-f", "haproxy.cfg", "-db"], edge, tmp_path):
            yield edge


def test_a_firewall_refuses_everybody(behind_haproxy: int, tmp_path: Path) -> None:
    """Whatever the API behind it would do: nobody can tell, and it is said what would."""
    found = asked(behind_haproxy, tmp_path)
    for check in ("security.authorization.roles", "smoke.auth.required"):
        met = found[check, "api.price"]
        assert met["outcome"] == "errored", found
        assert 'declare `as = "admin"` at the endpoint' in met["reason"]


@pytest.mark.parametrize(
    ("api", "who", "roles"),
    [
        (Api(), "", "passed"),  # who has no token is asked for one, before and after: the 403 was the rule's
        (Api(), 'as = "admin", ', "passed"),
        (Api(without=403), "", "errored"),  # everybody is told 403
        (Api(without=403), 'as = "admin", ', "passed"),
        (Api(open_to_all=True), "", "failed"),
        (Api(open_to_all=True, limit=0), "", "errored"),
        (Api(limit=3), "", "errored"),  # the limiter begins amid the roles
    ],
)
def test_an_api_by_itself(api: Any, who: str, roles: str, tmp_path: Path) -> None:
    with web(api) as server:
        told = outcomes(asked(server.port, tmp_path, who))
    assert told["security.authorization.roles api.price"] == roles, told
    assert told["security.authorization.roles api.report"] == "passed"
