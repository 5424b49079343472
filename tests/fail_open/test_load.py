"""FAIL_OPEN 17, 20, 21: a load that proves nothing opens no gate; and a valid one does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pytest_prodcheck.sealed_lines import SealedLines, key_of_lines
from tests.busy import skip_if_too_busy, too_busy
from tests.evidence.load.servers import GOOD, LIMITED, server
from tests.project import Project

TOML = """\
version = 1
[environments.dev]
revision = "r1"
[environments.dev.light]
enabled = false
[environments.dev.services.api]
url = "http://127.0.0.1:PORT"
endpoints.it = {{ request = "GET /it", status = 200 }}
[environments.dev.load.browse]
hosts = ["127.0.0.1"]
mix = {{ "api.it" = 1 }}
rate = "160/s"
duration = "2.5s"
{more}
[environments.dev.thresholds]
"performance.errors" = {{ warn = "5%", fail = "0.1%" }}
[environments.live]
extends = "dev"
protected = true
absent = ["auth", "workflows", "postgres", "redis"]
"""


def project_of(folder: Path, port: int, more: str = "") -> Project:
    return Project.make(folder, TOML.format(more=more).replace("PORT", str(port)), "")


def performance(project: Project, *arguments: str, env: str = "dev") -> subprocess.CompletedProcess[str]:
    return project.pytest("-m", "performance", *arguments, env=env)


def history(project: Project, env: str = "dev") -> Path:
    return project.folder / ".prodcheck" / "history" / env / "browse.jsonl"


def test_a_valid_run_opens_and_is_what_the_next_is_compared_with(tmp_path: Path) -> None:
    """The first run notes that there is nothing to compare with; accepted runs are kept, twenty at most."""
    with server() as (port, _):
        project = project_of(tmp_path, port, 'compare = { p95 = "10s", p99 = "10s" }')
        for _ in range(3):  # what a client without a processor met is no baseline
            first = performance(project, "--html=report.html", "--self-contained-html")
            if too_busy(first.stdout):
                continue
            assert first.returncode == 0, first.stdout
            if history(project).exists():
                break
        else:
            pytest.skip("three runs in turn were spoilt: this machine is too busy")
        assert project.gate(name="performance") == 0
        (line,) = history(project).read_text().splitlines()
        assert json.loads(line.split(" ", 2)[2])["overall"]["good"] == 400
        page = (project.folder / "report.html").read_text(encoding="utf-8")
        assert page.count("<svg class=") == 3
        assert "400 requests were due. 400 requests were sent, 400 answered well, 0 failed." in page
        sealed = SealedLines(key_of_lines((project.folder / ".prodcheck" / "key").read_bytes().strip()), "dev@ browse")
        lines = [line]
        for _ in range(19):
            lines.append(sealed.line(line.split(" ", 2)[2], lines[-1]))
        history(project).write_text("\n".join(lines) + "\n")
        second = performance(project)
    skip_if_too_busy(second.stdout)
    assert second.returncode == 0, second.stdout
    lines = history(project).read_text().splitlines()
    assert len(lines) == 20
    assert lines[-1] != line


def test_no_baseline(tmp_path: Path) -> None:
    with server() as (port, _):
        project = project_of(tmp_path, port, 'baseline = "required"')
        done = performance(project)
    assert done.returncode == 13, done.stdout
    skip_if_too_busy(done.stdout)
    assert "there is no accepted run to compare with" in done.stdout
    assert not history(project).exists()  # what could not be told is not accepted


def test_a_damaged_history(tmp_path: Path) -> None:
    with server() as (port, _):
        project = project_of(tmp_path, port)
        history(project).parent.mkdir(parents=True)
        history(project).write_text("{}\n")
        done = performance(project)
    assert done.returncode == 13, done.stdout
    skip_if_too_busy(done.stdout)
    assert "its seals are not valid" in " ".join(done.stdout.split())
    assert history(project).read_text() == "{}\n"


def test_a_load_that_ended_itself(tmp_path: Path) -> None:
    with server(say=lambda number, at: GOOD if number < 60 else None) as (port, _):
        project = project_of(tmp_path, port, 'abort = { error_ratio = "20%" }')
        done = performance(project)
        skip_if_too_busy(done.stdout)
        assert project.gate(name="performance") == 1
    assert "performance.errors on browse" in done.stdout
    assert "ended early" in done.stdout
    assert not history(project).exists()


def test_fast_failures(tmp_path: Path) -> None:
    """Half are refused at once, the others take long: the median of all would be excellent."""
    slow = 0.9
    with server(
        lambda number, at: slow * (number % 2), lambda number, at: GOOD if number % 2 else LIMITED
    ) as (port, _):
        project = project_of(tmp_path, port, 'abort = { error_ratio = "90%" }')
        done = performance(project)
        assert project.gate(name="performance") == 1
        skip_if_too_busy(done.stdout)
    assert "performance.errors on browse" in done.stdout
    assert "performance.latency.p50 on browse" in done.stdout


@pytest.mark.parametrize("allowed", [False, True])
def test_on_a_protected_environment_load_is_sent_only_where_it_is_allowed(allowed: bool, tmp_path: Path) -> None:
    with server() as (port, truth):
        project = project_of(tmp_path, port, 'compare = { p95 = "10s", p99 = "10s" }')
        more = ("--allow-load", "browse") if allowed else ()
        done = performance(project, "--revision", "r1", *more, env="live")
        code = project.gate("--revision", "r1", env="live", name="performance")
    if allowed:
        skip_if_too_busy(done.stdout)
    assert (done.returncode, code, truth.requests) == ((0, 0, 400) if allowed else (13, 3, 0)), done.stdout
    if not allowed:
        assert "--allow-load browse" in done.stdout


def test_a_mistyped_load_is_refused(tmp_path: Path) -> None:
    done = performance(project_of(tmp_path, 9), "--allow-load", "brows")
    assert done.returncode == 4
    assert "no load is named `brows`" in done.stdout + done.stderr


def test_the_plan_lists_rate_and_count(tmp_path: Path) -> None:
    done = project_of(tmp_path, 9).prodcheck("plan", "-m", "performance", "--env", "dev")
    assert done.returncode == 0, done.stderr
    assert "GET /it (load browse, up to 160/s for 2.5 s) x 400" in done.stdout
