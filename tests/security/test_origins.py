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


def told(server: Web) -> str:
    """All that a server was sent, as one text."""
    return json.dumps([(each.path, dict(each.headers), each.body.decode()) for each in server.requests])


def test_what_is_sent_where(servers: Servers, tmp_path: Path) -> None:
    done = servers.project(tmp_path).prodcheck("run", "g", "--env", "dev", "--", "-p", "no:cacheprovider")
    assert EDGE in told(servers.https)
    assert EDGE in told(servers.issuer)
    assert servers.http.requests
    assert EDGE not in told(servers.http)
    assert "plain" in told(servers.http)
    paths = {each.path for each in servers.other.requests}
    assert "/latest/meta-data/iam" not in paths
    assert "/jwks" not in paths
    for secret in (EDGE, CLIENT, PASSWORD):
        assert secret not in told(servers.other)
    assert "auth.origins" in done.stdout
    assert done.returncode == 3


def test_a_server_that_is_declared_beside_the_issuer(servers: Servers, tmp_path: Path) -> None:
    """As with a provider that has its token endpoint on another host than its issuer."""
    project = servers.project(tmp_path, f'origins = ["http://127.0.0.1:{servers.other.port}"]')
    project.prodcheck("run", "g", "--env", "dev", "--", "-p", "no:cacheprovider")
    assert "/latest/meta-data/iam" in {each.path for each in servers.other.requests}
    assert PASSWORD in told(servers.other)


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
