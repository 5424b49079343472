"""A server whose answers are written for our reports: nothing of it is obeyed in any of them, nor by Chromium."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
import tomllib
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.cli import main
from pytest_prodcheck.proposals.proposal import toml
from pytest_prodcheck.proposals.sources import propose
from tests.evidence.http.servers import Answer, Seen, web
from tests.project import Project
from tests.reports.hostile import STRINGS
from tests.reports.test_page import RAN, browsed

OURS = [each[:300] for each in STRINGS] + [f"</script><script>{RAN}</script>", f'<img src=x onerror="{RAN}">']
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
COMMAND = re.compile(
    r"^\s*::(set-output|stop-commands|error file=a,)|##vso\[|##\[error|##teamcity\[|section_start:\d", re.MULTILINE
)
VERDICT = re.compile(r"^🟢", re.MULTILINE)  # a line of a verdict that opens
TOML = """\
version = 1
[environments.dev]
revision = "r1"
absent = ["auth", "workflows", "postgres", "redis"]
[environments.dev.services.shop]
url = "http://127.0.0.1:{port}"
health = "/healthz"
version = {{ path = "/version", pointer = "/revision" }}
timeout = "5s"
{endpoints}
[gates.smoke]
select = ["smoke.*"]
"""
FORMS = ("text", "json", "html", "sarif", "markdown", "github", "gitlab", "tap", "nagios", "prometheus", "badge")


def _answers(seen: Seen) -> Answer:
    """All strings in a JSON answer; one of them, as far as a header can hold it, in the fields."""
    number = int(seen.path.rpartition("/")[2]) if seen.path.startswith("/e/") else 0
    text = OURS[number]
    field = re.sub(r"[\r\n\x00]", " ", text).encode("latin-1", "replace").decode("latin-1")
    said = {"status": "down: " + text, "revision": text, "detail": OURS, text: text}
    headers = {"Content-Type": f"text/html; x={field}", "Location": f"http://evil.example/{field}", "X-Odd": field,
               "Set-Cookie": f"a={field}"}  # fmt: skip
    return (200, 302, 404)[number % 3], headers, json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A run against it has ended, with its reports."""
    folder = tmp_path_factory.mktemp("injection")
    with ExitStack() as stack:
        port = stack.enter_context(web(_answers)).port
        endpoints = "\n".join(
            f'endpoints.e{n} = {{ request = "GET /e/{n}", content_type = "application/json", status = 200, '
            'contains = "what nobody says" }' for n in range(len(OURS))
        )  # fmt: skip
        (folder / "prodcheck.toml").write_text(TOML.format(port=port, endpoints=endpoints))
        made = Project(folder)
        done = made.pytest("--junit-xml=r.xml", "--prodcheck-html=r.html", "--prodcheck-sarif=r.sarif", "-q")
        (folder / "stdout").write_text(done.stdout + done.stderr, encoding="utf-8")
        assert done.returncode == 1, done.stdout[-3000:]
    return made


def test_what_a_terminal_and_ci_get(project: Project) -> None:
    said = (project.folder / "stdout").read_text(encoding="utf-8")
    assert "evil.example" in said
    for bad in (CONTROL, COMMAND, VERDICT):
        assert not bad.search(said), bad.search(said)


@pytest.mark.parametrize("form", FORMS)
def test_what_a_report_holds(project: Project, form: str, monkeypatch: pytest.MonkeyPatch,
                             capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(project.folder)
    main(["report", "--format", form])
    made = capsys.readouterr().out
    assert made
    assert not CONTROL.search(made)
    if form == "github":
        assert all(line.startswith(("::error file=", "::warning file=")) for line in made.splitlines())
    elif form != "html":
        assert not COMMAND.search(made) or form in ("json", "sarif", "gitlab"), COMMAND.search(made)
    if form in ("json", "sarif", "gitlab"):
        json.loads(made)
    if form == "badge":
        assert "script" not in {each.tag.rpartition("}")[2] for each in ET.fromstring(made).iter()}


def test_junit(project: Project) -> None:
    suite = ET.parse(project.folder / "r.xml").getroot()
    ours = "testsuites testsuite testcase properties property failure error skipped system-out system-err"
    assert {each.tag for each in suite.iter()} <= set(ours.split())
    assert not CONTROL.search("".join(each.text or "" for each in suite.iter()))


def test_a_browser_runs_nothing(project: Project, tmp_path: Path) -> None:
    page = (project.folder / "r.html").read_text(encoding="utf-8")
    assert "evil.example" in page
    script = """
      for (let left = 100; left > 0; left--) dispatchEvent(new KeyboardEvent("keydown", { key: "n" }));
      seen.ran = window.ran ?? null; seen.alerts = document.querySelectorAll("img, svg [onload]").length;
    """
    assert browsed(page, script, tmp_path) == {"ran": None, "alerts": 0}


ESCAPES = "\x1b]0;owned\x07\x1b[2J\r\n::error file=a,::x\n##vso[task.x]y\nsection_start:1:a\r\u202e\n🟢 OPEN smoke"
KEPT = ("schema", "outcome", "severity", "kind", "status", "seal")  # what would not be read with another text


def test_saved_runs_and_logs_that_somebody_else_wrote(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Downloaded ones, or a state folder that others may write: every command that shows them."""
    shutil.copytree(project.folder, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    state = tmp_path / "here" / ".prodcheck"
    for file in sorted(state.glob("runs/*/*.json")):
        if file.is_file() and not file.parent.is_symlink():
            told = json.loads(file.read_text())
            file.write_text(json.dumps(_changed(told)))
    with sqlite3.connect(next(state.glob("events*"))) as log:
        names = [row[1] for row in log.execute("pragma table_info(events)")]
        for column in ("unit", "revision", "subject", "body"):
            assert column in names
        (body,) = log.execute("select body from events where kind = 'run'").fetchone()
        log.execute("update events set revision = ?", ("r1" + ESCAPES,))
        log.execute("update events set body = ? where kind = 'run'", (json.dumps(_changed(json.loads(body))),))
    other = tmp_path / f"x{ESCAPES.replace('/', '')}"
    done = 0
    for words in (
        ["runs"], ["show"], ["diff"], ["diff", "latest", "latest"], ["history", "--env", "dev"],
        ["history", "smoke.service.health@shop", "--env", "dev"], ["history", "smoke.service.healt", "--env", "dev"],
        ["report", "--format", "text"], ["comment", "--dry-run", "--on", "github", "--project", "a/b", "--number", "1"],
        ["show", str(other)], ["report", str(other)], ["init", str(tmp_path), "--from", str(other)],
        ["init", str(tmp_path), "--from", _kubeconfig(tmp_path)], ["deploy", "--env", f"x{ESCAPES}"],
    ):  # fmt: skip
        with contextlib.suppress(SystemExit):
            main(words)
        told = "".join(capsys.readouterr())
        done += "owned" in told
        for bad in (CONTROL, COMMAND, VERDICT):
            assert not bad.search(told), (words, bad.search(told), told[:2000])
    assert done >= 13


def _changed(told: dict[str, object]) -> object:
    def walk(value: object, name: str = "") -> object:
        if isinstance(value, dict):
            return {key: walk(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [walk(each, name) for each in value]
        return f"{value}{ESCAPES}" if isinstance(value, str) and name not in KEPT else value

    return walk(told)


def _kubeconfig(folder: Path) -> str:
    context = {"name": f"c{ESCAPES}", "context": {"namespace": "shop"}}
    (folder / "kubeconfig").write_text(json.dumps({"kind": "Config", "contexts": [context], "users": []}))
    return str(folder / "kubeconfig")


INJECTED = f'x"\n[environments.production.services.evil]\nurl = "http://evil"\n{ESCAPES}\'\'\'"""\\'
PROPOSED: list[dict[str, Any]] = [
    {"name": INJECTED, "services": {
        INJECTED: {"image": f"redis{INJECTED}", "ports": [{"host_ip": INJECTED, "published": "80", "target": 80}]},
        f"db{INJECTED}": {"image": "postgres", "ports": ["80:80"], "environment": {"POSTGRES_USER": INJECTED}},
    }},
    {"kind": "Config", "current-context": INJECTED,
     "contexts": [{"name": INJECTED, "context": {"namespace": INJECTED}}]},
    {"openapi": INJECTED, "info": {"title": INJECTED}, "servers": [{"url": f"https://a/{INJECTED}"}],
     "paths": {f"/{INJECTED}": {"get": {"operationId": INJECTED, "responses": {"200": {}}}}}},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(PROPOSED)))
def test_a_first_configuration_holds_no_table_of_a_document(number: int, tmp_path: Path) -> None:
    """A table of its own could name a command as a secret."""
    (tmp_path / "source.json").write_text(json.dumps(PROPOSED[number]))
    text = toml(propose(str(tmp_path / "source.json")), "production", f"source{INJECTED}")
    assert set(tomllib.loads(text)) == {"version", "project", "environments"}
    assert not [line for line in text.splitlines() if line.startswith("[") and not line.startswith("[environments.")]
    assert "services.evil]" not in {line.rpartition("production.")[2] for line in text.splitlines()}
    assert not CONTROL.search(text)
