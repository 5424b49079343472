"""Every bundled check has a runbook of its own, with all parts, whose commands, checks and addresses are real."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from pytest_prodcheck import runbooks
from pytest_prodcheck.catalogue import entries
from pytest_prodcheck.cli.commands import COMMANDS
from tests.project import Project

PARTS = [
    "What it checks", "Why it matters", "Evidence", "Usual causes", "Diagnose", "Fix", "Verify the fix",
    "When the result is acceptable", "Sources",
]  # fmt: skip
OF_INCIDENTS = ["Signs", "Usual causes", "Diagnose", "Fix", "Verify the fix", "Sources"]
OF_CHECKS = sorted(entry.id.removesuffix(".*") for entry in entries())


@cache
def parts(name: str) -> dict[str, str]:
    """The parts of a runbook by their headings, in order."""
    _, *found = re.split(r"^## (.+)$", runbooks.read(name), flags=re.MULTILINE)
    return dict(zip(found[::2], (each.strip() for each in found[1::2]), strict=True))


def test_every_check_has_one_and_nothing_is_left_over() -> None:
    written = {each for each in runbooks.names() if "." in each}
    missing, left_over = sorted(set(OF_CHECKS) - written), sorted(written - set(OF_CHECKS))
    assert not missing, f"write docs/runbooks/ID.md, with the headings {PARTS}, for {missing}"
    assert not left_over, f"remove from docs/runbooks/: {left_over}"


def test_the_incidents_of_the_guide_have_one() -> None:
    incidents = {"api-gateway", "database", "cache-recovery", "high-cpu", "high-memory", "slow-answers"}
    assert {each for each in runbooks.names() if "." not in each} == incidents


@pytest.mark.parametrize("name", runbooks.names())
def test_all_parts_are_there(name: str) -> None:
    text, found = runbooks.read(name), parts(name)
    assert text.startswith(f"# {name}\n") if name in OF_CHECKS else text.startswith("# ")
    assert list(found) == (PARTS if name in OF_CHECKS else OF_INCIDENTS)
    assert all(len(each) > 30 for each in found.values())
    assert len(re.findall(r"^\d+\. ", found["Usual causes"], re.MULTILINE)) >= 3
    assert "```sh\n" in found["Diagnose"]
    assert "prodcheck " in found["Verify the fix"] or "pytest " in found["Verify the fix"]
    assert re.search(r"\]\(https://", found["Sources"])
    assert "mend" not in text


@pytest.mark.parametrize("name", runbooks.names())
def test_what_it_names_is_there(name: str) -> None:
    """Checks, commands of ours, and shell lines that a shell can read."""
    text = runbooks.read(name)
    suites = "smoke|pre_deploy|performance|security|data_integrity"
    for check in re.findall(rf"`((?:{suites})\.[a-z_.0-9-]+)`", text):
        assert runbooks.find(check), check
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        assert set(re.findall(r"^prodcheck ([a-z-]+)", block, re.MULTILINE)) <= set(COMMANDS), block
        read = subprocess.run(["sh", "-n"], input=block, text=True, capture_output=True, check=False)
        assert read.returncode == 0, read.stderr


def test_each_was_written_for_its_check() -> None:
    """No two tell the same causes or the same fix."""
    for part in ("Usual causes", "Fix"):
        told = [parts(name)[part] for name in runbooks.names()]
        assert len(set(told)) == len(told), part


def test_explain(tmp_path: Path) -> None:
    project = Project.make(tmp_path)
    done = project.prodcheck("explain", "smoke.service.version")
    assert done.returncode == 0, done.stderr
    assert "severity: critical" in done.stdout
    assert "## Usual causes" in done.stdout
    done = project.prodcheck("explain", "smoke.service.versoin")
    assert done.returncode == 2
    assert "smoke.service.version" in done.stderr
    assert "smoke.service.version" in project.prodcheck("explain").stdout.split()
