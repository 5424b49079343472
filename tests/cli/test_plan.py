"""`prodcheck plan`: nothing is sent for it, and a run sends no more than it lists."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.cli import main
from tests.evidence.http.servers import Answer, Seen, Web, web
from tests.project import Project

Capture = pytest.CaptureFixture[str]
TOML = """\
version = 1
checks = ["checks"]
[environments.dev]
revision = "r1"
[environments.dev.services.shop]
url = "http://127.0.0.1:PORT"
health = "/healthz"
version = {{ path = "/version", pointer = "/revision", connections = 3 }}
endpoints.product = {{ request = "GET /products/1", status = 200 }}
endpoints.other = {{ request = "GET /other", status = 200 }}
[environments.dev.vulnerabilities]
nodes = {{ format = "kube-bench", report = "r.json", dated = "file" }}
fetched = {{ format = "sarif", url = "http://127.0.0.1:PORT/{{revision}}.sarif" }}
[environments.dev.own.fact]
value = 1.0
[gates.few]
select = ["smoke.service.health", "shop.*"]
[gates.elsewhere]
environments = ["live"]
select = ["smoke.*"]
[environments.live]
extends = "dev"
"""
CHECKS = '''\
from dataclasses import dataclass

from pytest_prodcheck import check, collector, judge


@dataclass(frozen=True)
class Fact:
    value: float


@collector("fact", settings={"value": float})
def gather_fact(settings, deadline) -> Fact:
    return Fact(settings["value"])


@check("shop.price", suite="smoke", severity="low", needs={"shown": "http-endpoint:shop.other", "fact": "fact"})
def test_price(shown, fact):
    """The price is shown."""
    judge("status", shown.status, equals=200)


@check("shop.version", suite="smoke", severity="low")
def test_version(http_version):
    """There is a version."""
    judge("asked", http_version.asked, at_least=1)
'''


def answer(seen: Seen) -> Answer:
    return 200, {"Content-Type": "application/json"}, b'{"status": "pass", "revision": "r1"}'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project.make(tmp_path, toml=TOML.replace("{{", "{").replace("}}", "}"), checks=CHECKS)


def planned(capsys: Capture, *words: str) -> list[dict[str, Any]]:
    assert main(["plan", *words, "--env", "dev", "--format", "json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def whats(lines: list[dict[str, Any]]) -> set[str]:
    return {each["what"] for each in lines}


def test_a_gate_lists_what_it_selects(project: Project, capsys: Capture) -> None:
    project.write("prodcheck.toml", TOML.replace("{{", "{").replace("}}", "}").replace("PORT", "9"))
    assert whats(planned(capsys, "few")) == {"GET /healthz", "GET /version", "GET /other"}
    assert "GET /products/1" in whats(planned(capsys, "smoke"))
    assert "GET /products/1" in whats(planned(capsys, "-m", "smoke"))
    assert "reads the file r.json" in whats(planned(capsys, "security"))
    assert not whats(planned(capsys, "few", "-m", "security"))


def test_a_report_that_both_suites_judge_is_fetched_once(project: Project, capsys: Capture) -> None:
    project.write("prodcheck.toml", TOML.replace("{{", "{").replace("}}", "}").replace("PORT", "9"))
    (line,) = (each for each in planned(capsys) if "sarif" in each["what"])
    assert (line["times"], line["to"]) == (1, "127.0.0.1:9")


def test_text(project: Project, capsys: Capture) -> None:
    project.write("prodcheck.toml", TOML.replace("{{", "{").replace("}}", "}").replace("PORT", "9"))
    assert main(["plan", "few", "--env", "dev"]) == 0
    told = capsys.readouterr().out
    assert "requests would be sent to 127.0.0.1:9; nothing was sent." in told
    assert "own evidence fact: its own code decides what it sends" in told
    assert main(["plan", "security", "--env", "dev"]) == 0
    assert "1 local files would be read or programs run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nope",), "there is no gate 'nope'"),
        (("elsewhere",), "gate elsewhere is for live, not for dev"),
        (("-m", "nope"), "no suite 'nope'"),
        (("few", "--allow-check", "shop.nope"), "shop.nope"),
    ],
)
def test_what_is_not_there(words: tuple[str, ...], message: str, project: Project, capsys: Capture) -> None:
    project.write("prodcheck.toml", TOML.replace("{{", "{").replace("}}", "}").replace("PORT", "9"))
    assert main(["plan", *words, "--env", "dev"]) == 2
    assert message in capsys.readouterr().err


def test_a_run_sends_no_more_than_was_planned(project: Project, capsys: Capture) -> None:
    def run(server: Web) -> None:
        lines = planned(capsys)
        assert server.requests == []
        ended = project.pytest("-m", "smoke or security or pre_deploy", "--no-gate")
        assert ended.returncode in (0, 1, 13), ended.stdout + ended.stderr
        sent = Counter(f"{each.method} {each.path}" for each in server.requests)
        told = {each["what"]: each["times"] for each in lines}
        assert sum(sent.values()) <= sum(each["times"] for each in lines if each["to"] != "this machine")
        for what in ("GET /healthz", "GET /version", "GET /products/1", "GET /other"):
            assert 0 < sent[what] <= told[what], (what, sent)
        assert sent["GET /r1.sarif"] == 1

    with web(answer) as server:
        text = (project.folder / "prodcheck.toml").read_text()
        project.write("prodcheck.toml", text.replace("PORT", str(server.port)))
        run(server)


def test_percentiles_that_too_few_requests_cannot_prove_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Before anything is sent: 100 requests bound no P99, which needs 299 (Wilks 1941)."""
    load = '[environments.dev.load.go]\nhosts = ["127.0.0.1"]\nrate = 10\nduration = "10s"\n'
    load += 'mix = {"shop.product" = 1}\n'
    off = '[thresholds]\n"performance.regression.p99" = "off"\n'
    text = TOML.replace("{{", "{").replace("}}", "}").replace('checks = ["checks"]\n', "").replace("PORT", "1")
    (tmp_path / "prodcheck.toml").write_text(text + load + off)
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "-m", "performance", "--env", "dev"]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: load go: 100 requests cannot prove P99, which needs 299: performance.latency.p99 would be errored; "
        "raise rate or duration, or switch them off"
    ]
    assert main(["env", "dev"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "note: load go" in line] == [f"# {notes[0]}"]
    assert main(["validate"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert notes[0].replace("note: ", "note: environment dev: ") in told
    assert told[-1].startswith("prodcheck.toml is valid")
    (tmp_path / "prodcheck.toml").write_text(text + load + '[thresholds]\n"performance.*.p99" = "off"\n')
    for words in (["env", "dev"], ["validate"]):
        assert main(words) == 0
        assert "note: load go" not in capsys.readouterr().out.replace("environment dev: ", "")


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_run_tells_them_before_it_sends_anything(tmp_path: Path, workers: tuple[str, ...]) -> None:
    text = TOML.replace("{{", "{").replace("}}", "}").replace('checks = ["checks"]\n', "").replace("PORT", "1")
    project = Project.make(tmp_path / "home", text + "[environments.dev.light]\nrequests = 100\n")
    done = project.pytest("-m", "performance", "--env", "dev", "--no-gate", *workers)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("note: "))
    assert line.startswith("note: load light: 100 requests cannot prove P99, which needs 299: performance.latency.p99")
    assert done.stdout.index(line) < done.stdout.index("prodcheck ====")
