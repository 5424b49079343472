"""The demo of deployments: its site, its visitors and both deployments, with the quick gates and comparison."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_prodcheck.cli.deploy_progress import Progress
from pytest_prodcheck.demo.deploying import show
from pytest_prodcheck.deploy.deployment import DeployOptions
from tests.deploy.quick import QuickDeployment
from tests.field.web.support import program

PAGE = Path(__file__).resolve().parents[2] / "docs" / "deploying.md"


def deploy(folder: Path, revision: str) -> int:
    return QuickDeployment(DeployOptions("production", revision=revision), folder, Progress()).deploy(
        "a test", None, ""
    )


def steps(text: str) -> list[str]:
    """The lines of a deployment that goes, without clock and figures."""
    lines = [re.sub(r"^[0-9:]{8} ", "", line) for line in text.splitlines()]
    return [line for line in lines if line.startswith((" [", "rolled back:"))]


def test_one_gets_in_and_one_is_brought_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program("haproxy")  # skips without it
    monkeypatch.setattr(show, "TOML", show.TOML.replace('"5s"', '"500ms"'))
    assert show.run(deploy) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"exit code (\d+)", shown) == ["0", "20"]
    (good, bad) = re.findall(r"(\d+) requests, answered by (.*); (\d+) not", shown)
    assert good[2] == "0", shown
    assert "r1" in good[1]
    assert "r2" in bad[1]
    (page,) = re.findall(r"^\$ prodcheck deploy .* --revision r3-errors .*\n((?:.*\n)*?)```$", PAGE.read_text(), re.M)
    told = steps(shown.partition("--revision r3-errors")[2])
    assert told == steps(page)
