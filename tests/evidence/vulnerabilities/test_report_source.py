"""Where reports come from: files, addresses, programs that are run. All of them are real."""

from __future__ import annotations

import json
import os
import sys
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.files import scanner_reports
from pytest_prodcheck.environments.sections.vulnerabilities import Vulnerabilities
from pytest_prodcheck.evidence.vulnerabilities.scanner import command_of
from tests.evidence.http.servers import Answer, Seen, web
from tests.evidence.vulnerabilities.support import IMAGE, gathered, ids, problem, report


def program(folder: Path, name: str, body: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return f"./{name}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("gone.json", "there is no file gone.json"),
        (".", "Is a directory"),
        ("pipe", "not a plain"),
    ):
        found = problem(tmp_path, None, report=name)
        assert (found.kind, message in found.message) == ("configuration", True), found


def test_the_revision_and_the_unit_are_filled_in(tmp_path: Path) -> None:
    (tmp_path / "shop-r-1.json").write_text(json.dumps(scanner_reports.trivy()))
    assert report(tmp_path, None, report="{unit}-{revision}.json", unit="shop").source == "shop-r-1.json"
    assert "give --unit" in problem(tmp_path, None, report="{unit}-{revision}.json").hint


def test_a_program_that_prints_the_report(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(scanner_reports.trivy()))
    assert report(tmp_path, None, command=["cat", "r.json"]).scanned == 2


@pytest.mark.parametrize(
    ("body", "kind", "words_"),
    [
        ("echo broken >&2; echo more >&2; exit 3", "protocol", "ended with exit code 3: broken; more"),
        ("kill -9 $$", "protocol", "was ended by signal 9"),
        ("exit 0", "empty", "wrote nothing"),
        ("echo '{\"SchemaVersion\": 2'", "protocol", "cut off"),
        ("head -c 3000000 /dev/zero", "too-large", "more than 1000000 bytes"),
        ("head -c 3000000 /dev/zero >&2; exit 1", "protocol", "exit code 1"),
    ],
)
def test_programs_that_give_no_report(body: str, kind: str, words_: str, tmp_path: Path) -> None:
    name = program(tmp_path, "scan", body)
    found = problem(tmp_path, None, command=[name], largest=1_000_000)
    assert (found.kind, words_ in found.message) == (kind, True), found


def test_a_program_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    name = program(tmp_path, "scan", "echo $$ > pid; sleep 300 & sleep 300")
    began = time.monotonic()
    assert problem(tmp_path, None, command=[name], timeout=1.0).kind == "timeout"
    assert time.monotonic() - began < 15
    group = int((tmp_path / "pid").read_text())
    for _ in range(100):
        alive = [each for each in Path("/proc").glob("[0-9]*/stat") if _group_of(each) == group]
        if not alive:
            return
        time.sleep(0.1)
    raise AssertionError(f"still there: {alive}")


def _group_of(stat: Path) -> int:
    try:
        state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return 0
    return 0 if state == "Z" else int(group)


def test_a_scanner_that_is_not_installed(tmp_path: Path) -> None:
    found = problem(tmp_path, None, command=["no-such-scanner"])
    assert (found.kind, found.message) == (
        "configuration",
        "no-such-scanner cannot be started: No such file or directory",
    )


def test_how_each_scanner_is_run() -> None:
    """Trivy, Grype, kube-bench and gator cannot be installed here: what is run is looked at, not what it does."""

    def run(**keys: Any) -> tuple[str, ...]:
        return command_of(Vulnerabilities.model_validate({"run": (), **keys}))

    assert run(format="trivy", image="a:1", run=("--scanners", "vuln")) == (
        "trivy", "image", "--quiet", "--format", "json", "--list-all-pkgs", "--scanners", "vuln", "a:1",
    )  # fmt: skip
    assert run(format="grype", image="a:1") == ("grype", "--quiet", "--output", "json", "a:1")
    assert run(format="kube-bench") == ("kube-bench", "--json")
    assert run(format="gatekeeper", run=("--filename=m",)) == (
        "gator", "test", "--output=json", "--stats", "--filename=m",
    )  # fmt: skip


def test_a_scanner_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of Trivy's name that speaks its format stands for Trivy, which cannot be installed here."""
    (tmp_path / "r.json").write_text(json.dumps(scanner_reports.trivy()))
    program(tmp_path, "trivy", 'echo "$@" > arguments; cat r.json')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert ids(report(tmp_path, None, run=[])) == ["CVE-2024-10001"]
    assert (tmp_path / "arguments").read_text().split()[-1] == IMAGE


def test_pip_audit_is_run_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pip-audit against a local server that speaks OSV's API, for the real one is not reachable here."""
    pytest.importorskip("pip_audit", reason="pip-audit is not installed: pip install pip-audit")
    asked: list[Any] = []

    def osv(seen: Seen) -> Answer:
        query = json.loads(seen.body)
        asked.append(query)
        found = {
            "id": "PYSEC-2024-1", "aliases": ["CVE-2024-1"], "summary": "s", "details": "d",
            "published": "2024-01-01T00:00:00Z", "modified": "2024-01-01T00:00:00Z",
            "affected": [{"package": {"name": "jinja2", "ecosystem": "PyPI"},
                          "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1.4"}]}]}],
        }  # fmt: skip
        vulns = [found] if query["package"]["name"] == "jinja2" else []
        return 200, {"Content-Type": "application/json"}, json.dumps({"vulns": vulns} if vulns else {}).encode()

    (tmp_path / "requirements.txt").write_text("jinja2==3.1.3\nidna==3.7\n")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    with web(osv) as server:
        arguments = [
            "--requirement", "requirements.txt", "--disable-pip", "--no-deps", "--cache-dir", str(tmp_path / "cache"),
            "--vulnerability-service", "osv", "--osv-url", f"http://127.0.0.1:{server.port}/v1/query",
        ]  # fmt: skip
        found = gathered(tmp_path, None, format="pip-audit", run=arguments, seconds=60)
    assert {each["package"]["name"] for each in asked} == {"jinja2", "idna"}
    assert (found.scanned, found.scanner) == (2, "pip-audit")
    assert [str(each) for each in found.overdue("high")] == ["PYSEC-2024-1 in jinja2 3.1.3 (fixed in 3.1.4)"]
    assert abs(found.created_at - time.time()) < 120


def test_a_report_that_is_fetched(tmp_path: Path) -> None:
    def answer(seen: Seen) -> Answer:
        if seen.path == "/r-1/huge":
            return 200, {}, b" " * 2_000_000
        if seen.path != "/r-1/shop.json":
            return 404, {}, b"{}"
        assert seen.headers["Authorization"] == "Bearer t0p-secret"
        document = {**scanner_reports.trivy(), "CreatedAt": None, "Padding": "x" * 1_500_000}  # over gathering.body
        dated = {"Last-Modified": formatdate(time.time() - 3600, usegmt=True)}
        return 200, {"Content-Type": "application/json", **dated}, json.dumps(document).encode()

    (tmp_path / "token").write_text("t0p-secret")
    keys = {"authentication": {"bearer": {"file": "token"}}}
    with web(answer) as server:
        base = f"http://127.0.0.1:{server.port}/{{revision}}"
        found = report(tmp_path, None, url=f"{base}/shop.json", dated="file", **keys)
        assert abs(time.time() - 3600 - found.created_at) < 60
        assert problem(tmp_path, None, url=f"{base}/shop.json", **keys).kind == "stale"
        assert "answered 404" in problem(tmp_path, None, url=f"{base}/none", **keys).message
        assert problem(tmp_path, None, url=f"{base}/huge", largest=100_000, **keys).kind == "too-large"
