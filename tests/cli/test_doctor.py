"""What the doctor says of an environment: what is not judged, and what will stop working."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import ModuleSpec
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_prodcheck.cli import doctor
from tests.project import Project

TOML = """\
version = 1
project = "shop"
runbooks = "http://127.0.0.1:{port}/{{runbook}}"

[environments.dev]
revision = "r1"
absent = ["redis"]

[environments.dev.services.shop]
url = "http://127.0.0.1:9"
health = "/healthz"
headers = {{ Authorization = {{ env = "DOCTOR_TOKEN" }} }}

[thresholds]
"smoke.service.latency" = "off"

[[waivers]]
check = "smoke.*"
target = "shop"
environment = "dev"
reason = "old"
owner = "anna"
ticket = "OPS-1"
expires = {expired}

[[waivers]]
check = "smoke.service.health"
target = "shop"
environment = "dev"
reason = "soon"
owner = "anna"
ticket = "OPS-2"
expires = {soon}
"""


class Pages(BaseHTTPRequestHandler):
    """One page is there."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/service-health" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    today = datetime.now(UTC).date()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    text = TOML.format(port=server.server_port, expired=today - timedelta(days=1), soon=today + timedelta(days=3))
    yield Project.make(tmp_path, text)
    server.shutdown()
    server.server_close()


def lines_by_level(project: Project, *words: str) -> dict[str, list[str]]:
    """The doctor's lines by level."""
    done = project.prodcheck("doctor", "--env", "dev", "--format", "json", *words)
    found: dict[str, list[str]] = {}
    for each in json.loads(done.stdout):
        found.setdefault(each["level"], []).append(each["text"])
    assert done.returncode == (1 if "wrong" in found else 0)
    return found


def test_what_is_wrong_and_what_will_be(project: Project) -> None:
    found = lines_by_level(project)
    wrong = "\n".join(found["wrong"])
    assert "environment variable DOCTOR_TOKEN is not set" in wrong
    assert "OPS-1" in wrong
    assert "/service-latency answers 404" in wrong
    assert "/service-health answers" not in wrong
    assert any("OPS-2" in each and "in 3 days" in each for each in found["soon"])
    assert any("smoke.service.latency" in each and "off" in each for each in found["soon"])


def test_who_is_told(project: Project) -> None:
    assert any(each.startswith("notify: no channel") for each in lines_by_level(project, "--offline")["missing"])
    path = project.folder / "prodcheck.toml"
    more = '[notify.chat]\nurl = { env = "DOCTOR_CHAT" }\n[notify.live]\nurl = { env = "DOCTOR_CHAT" }\n'
    path.write_text(path.read_text() + more)
    found = lines_by_level(project, "--offline")
    assert "notify: chat, live" in found["declared"]
    assert sum("environment variable DOCTOR_CHAT is not set" in each for each in found["wrong"]) == 1


def test_what_could_be_judged(project: Project) -> None:
    missing = lines_by_level(project, "--offline")["missing"]
    assert any("service shop: version is not declared" in each and "smoke.service.version" in each for each in missing)
    assert any(each.startswith("postgres: none is declared") for each in missing)
    assert not any(each.startswith("redis") for each in missing)
    assert "critical" in missing[0]


def test_kinds_that_nothing_is_declared_of_share_a_line(project: Project) -> None:
    lines = project.prodcheck("doctor", "--env", "dev", "--offline").stdout.splitlines()
    (folded,) = (each for each in lines if "no target is declared of these kinds:" in each)
    assert "memcached, metric, postgres," in folded
    assert "redis" not in folded
    assert any("service shop: version is not declared" in each for each in lines)
    assert not any("none is declared" in each for each in lines)


def test_a_token_that_nobody_tries_wrongly(project: Project) -> None:
    more = """[environments.dev.services.{0}]
url = "http://127.0.0.1:9"
authentication = {{ bearer = {{ env = "DOCTOR_TOKEN" }} }}
endpoints.list = {{ request = "GET /", {1} }}
"""
    role = """[environments.dev.auth]
kind = "token"
service = "tried"
login = "GET /"
roles.reader = { token = { env = "DOCTOR_TOKEN" } }
"""
    path = project.folder / "prodcheck.toml"
    extra = more.format("orders", "status = 200") + more.format("tried", 'allow = ["reader"]') + role
    path.write_text(path.read_text().replace("headers = {", "#") + extra)
    told = [each for each in lines_by_level(project, "--offline")["missing"] if "nobody tries it" in each]
    (line,) = told
    assert line.startswith("service orders: nobody tries it without or with a wrong token: declare [auth] with kind")


def test_nothing_is_wrong(project: Project) -> None:
    project.environ["DOCTOR_TOKEN"] = "a-token-of-some-length"
    path = project.folder / "prodcheck.toml"
    text = path.read_text()
    path.write_text(text[: text.index("[[waivers]]")])
    assert "wrong" not in lines_by_level(project, "--offline")


def test_an_environment_that_is_not_there(project: Project) -> None:
    done = project.prodcheck("doctor", "--env", "nowhere")
    assert done.returncode == 2
    assert "dev" in done.stderr


def test_traces_without_their_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package `opentelemetry` is there as soon as any part of it is; played, as all parts are installed here."""
    real = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        if name.startswith("opentelemetry.exporter"):
            raise ModuleNotFoundError(name)
        return real(name, package)

    project = SimpleNamespace(notify={"team": SimpleNamespace(environments=())}, traces=object())
    configuration = cast("Any", SimpleNamespace(project=project))
    assert not [each for each in doctor._channels(configuration, "dev") if each.level == "wrong"]
    monkeypatch.setattr(importlib.util, "find_spec", without)
    (found,) = (each for each in doctor._channels(configuration, "dev") if each.level == "wrong")
    assert "pip install 'pytest-prodcheck[traces]'" in found.text
