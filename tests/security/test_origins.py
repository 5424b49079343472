"""Secrets go to the servers that they are declared for, whatever a server names: real servers note what they get."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme

from pytest_prodcheck.cli import main
from tests.evidence.http.servers import Answer, Seen, Web, web
from tests.project import Project

EDGE, CLIENT, PASSWORD = "edge-secret-0123456789", "client-secret-abcdef", "user-password-xyz"
JSON = {"Content-Type": "application/json"}
TOML = """\
version = 1
[environments.dev]
revision = "r1"
headers = {{ X-Edge-Key = {{ env = "EDGE" }}, X-Plain = "plain" }}
[environments.dev.services.shop]
url = "https://localhost:{https}"
health = "/healthz"
redirect = "http://localhost:{http}/"
tls = {{ ca = "ca.pem" }}
endpoints.me = {{ request = "GET /me", allow = ["customer"], as = "customer" }}
[environments.dev.auth]
kind = "oidc"
issuer = "http://127.0.0.1:{issuer}"
{more}
roles.customer = {{ client_id = "prodcheck", client_secret = {{ env = "CS" }}, {grant} }}
[environments.dev.dependencies.other]
http = "http://127.0.0.1:{other}/status"
[gates.g]
select = ["smoke.service.*", "smoke.auth.login", "*.dependenc*"]
"""


class Servers:
    """An HTTPS service, its plain port, an issuer whose discovery names another host, and that host."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(tls)
        self.https = stack.enter_context(web(lambda _: (200, JSON, b'{"status":"ok"}'), tls=tls))
        self.http = stack.enter_context(web(self.leads_on))
        self.issuer = stack.enter_context(web(self.discovery))
        self.other = stack.enter_context(web(lambda _: (200, JSON, b'{"access_token":"tok-1234567890","keys":[]}')))

    def leads_on(self, _: Seen) -> Answer:
        return 301, {"Location": f"https://localhost:{self.https.port}/"}, b""

    def discovery(self, _: Seen) -> Answer:
        other = f"http://127.0.0.1:{self.other.port}"
        found = {
            "issuer": f"http://127.0.0.1:{self.issuer.port}",
            "token_endpoint": f"{other}/latest/meta-data/iam",
            "jwks_uri": f"{other}/jwks",
        }
        return 200, JSON, json.dumps(found).encode()

    def project(self, folder: Path, more: str = "") -> Project:
        toml = TOML.format(
            https=self.https.port, http=self.http.port, issuer=self.issuer.port, other=self.other.port, more=more,
            grant='grant = "password", user = "u", password = { env = "PRODCHECK_PW" }',
        )  # fmt: skip
        (folder / "prodcheck.toml").write_text(toml)
        return Project(folder, {"EDGE": EDGE, "CS": CLIENT, "PRODCHECK_PW": PASSWORD})


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack, tmp_path)


def requests_text(server: Web) -> str:
    """All that a server was sent, as one text."""
    return json.dumps([(each.path, dict(each.headers), each.body.decode()) for each in server.requests])


def test_what_is_sent_where(servers: Servers, tmp_path: Path) -> None:
    done = servers.project(tmp_path).prodcheck("run", "g", "--env", "dev", "--", "-p", "no:cacheprovider")
    assert EDGE in requests_text(servers.https)
    assert EDGE in requests_text(servers.issuer)
    assert servers.http.requests
    assert EDGE not in requests_text(servers.http)
    assert "plain" in requests_text(servers.http)
    paths = {each.path for each in servers.other.requests}
    assert "/latest/meta-data/iam" not in paths
    assert "/jwks" not in paths
    for secret in (EDGE, CLIENT, PASSWORD):
        assert secret not in requests_text(servers.other)
    assert "auth.origins" in done.stdout
    assert done.returncode == 3


def test_a_server_that_is_declared_beside_the_issuer(servers: Servers, tmp_path: Path) -> None:
    """As with a provider that has its token endpoint on another host than its issuer."""
    project = servers.project(tmp_path, f'origins = ["http://127.0.0.1:{servers.other.port}"]')
    project.prodcheck("run", "g", "--env", "dev", "--", "-p", "no:cacheprovider")
    assert "/latest/meta-data/iam" in {each.path for each in servers.other.requests}
    assert PASSWORD in requests_text(servers.other)


def test_a_plan_lists_every_host(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.project(tmp_path, f'origins = ["http://127.0.0.1:{servers.other.port}"]')
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "g", "--env", "dev"]) == 0
    shown = capsys.readouterr().out
    for server in (servers.https, servers.http, servers.issuer, servers.other):
        assert f":{server.port}" in shown
        assert not server.requests


@contextmanager
def keys_of(folder: Path, jwks: str) -> Iterator[tuple[Web, Web]]:
    with web(lambda _: (200, JSON, b'{"keys": []}')) as other:
        where: dict[str, str] = {}
        document = lambda _: (200, JSON, json.dumps(where).encode())  # noqa: E731
        with web(document) as issuer:
            where.update(issuer=f"http://127.0.0.1:{issuer.port}", jwks_uri=jwks.format(port=other.port))
            yield issuer, other


@pytest.mark.parametrize("jwks", ["http://127.0.0.1:{port}/keys", "http://localhost:{port}/keys"])
def test_keys_are_not_fetched_from_where_a_document_says(tmp_path: Path, jwks: str) -> None:
    from pytest_prodcheck.evidence.access.jwks import address_of
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records import EvidenceProblem
    from tests.evidence.contexts import context_for

    with keys_of(tmp_path, jwks) as (issuer, other):
        auth = {"kind": "oidc", "issuer": f"http://127.0.0.1:{issuer.port}", "roles": {}}
        context = context_for(tmp_path, auth=auth)
        assert context.environment.auth is not None
        with pytest.raises(EvidenceProblem, match="not declared"):
            address_of(context.environment.auth, context, Deadline(5))
        context.close()
        assert not other.requests


FORM = '<form method="post" action="{to}"><input name="username"><input type="password" name="password"></form>'


@pytest.mark.parametrize("to", ["/grab", "http://127.0.0.1:{other}/grab", "http://127.0.0.1:{issuer}/login"])
def test_the_password_of_an_issuer_is_typed_for_the_issuer_alone(tmp_path: Path, to: str) -> None:
    """A service that shows a login form of its own, in place of sending people to the issuer; so may another."""
    from pytest_prodcheck.cookies import CookieStore
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.login.authorization_code import by_service
    from pytest_prodcheck.records import EvidenceProblem
    from tests.evidence.contexts import context_for

    (tmp_path / "password").write_text(PASSWORD)
    page: dict[str, str] = {}
    with (
        web(lambda _: (200, {"Content-Type": "text/html"}, page["shop"].encode())) as shop,
        web(lambda _: (200, JSON, b"{}")) as other,
        web(lambda _: (200, JSON, b"{}")) as issuer,
    ):
        page["shop"] = FORM.format(to=to.format(other=other.port, issuer=issuer.port))
        services = {name: {"url": f"http://127.0.0.1:{each.port}", "health": "/"}
                    for name, each in (("shop", shop), ("other", other))}  # fmt: skip
        role = {"grant": "authorization_code", "client_id": "c", "user": "u", "password": {"file": "password"}}
        auth = {"kind": "oidc", "issuer": f"http://127.0.0.1:{issuer.port}", "service": "shop", "cookie": "sid",
                "login": "GET /login", "roles": {"customer": role}}  # fmt: skip
        context = context_for(tmp_path, services=services, auth=auth)
        assert context.environment.auth is not None
        said = ""
        try:
            by_service(context.environment.auth.roles["customer"], CookieStore(), context.environment.auth, context,
                       Deadline(10))  # fmt: skip
        except EvidenceProblem as error:
            said = error.problem.message
        context.close()
        assert PASSWORD not in requests_text(shop) + requests_text(other)
        assert (PASSWORD in requests_text(issuer)) is ("issuer" in to)
        assert ("which does not belong to the issuer" in said) is ("issuer" not in to)


@pytest.mark.parametrize("kind", ["servers", "refs", "no address", "redirect"])
def test_what_an_openapi_document_names_is_not_asked(tmp_path: Path, kind: str) -> None:
    """Servers, references and a redirect to another host; an address that is none."""
    with web(lambda _: (200, JSON, b"{}")) as other:
        there = f"http://127.0.0.1:{other.port}"
        schema: dict[str, object] = {"$ref": f"{there}/s.json"} if kind == "refs" else {"type": "object"}
        answered = {"200": {"description": "d", "content": {"application/json": {"schema": schema}}}}
        document = {
            "openapi": "3.0.3", "info": {"title": "t", "version": "1"},
            "paths": {"/me": {"get": {"responses": answered}}},
            "servers": [{"url": "http://[" if kind == "no address" else f"{there}/v1"}],
        }  # fmt: skip

        def shop(seen: Seen) -> Answer:
            if seen.path != "/openapi.json":
                return 200, JSON, b"{}"
            if kind == "redirect":
                return 302, {"Location": f"{there}/openapi.json"}, b""
            return 200, JSON, json.dumps(document).encode()

        with web(shop) as served:
            toml = f"""\
version = 1
[environments.dev]
revision = "r1"
headers = {{ X-Edge-Key = {{ env = "EDGE" }} }}
[environments.dev.services.shop]
url = "http://127.0.0.1:{served.port}"
openapi = "/openapi.json"
endpoints.me = {{ request = "GET /me", schema = "openapi" }}
[gates.g]
select = ["smoke.api.*"]
"""
            (tmp_path / "prodcheck.toml").write_text(toml)
            done = Project(tmp_path, {"EDGE": EDGE}).prodcheck("run", "g", "--env", "dev")
            assert EDGE in requests_text(served)
        assert not other.requests
        assert done.returncode == (0 if kind in ("servers", "no address") else 3), done.stdout
        assert "Error" not in done.stdout + done.stderr
