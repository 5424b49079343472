"""Waivers, overrides, observation, needs, absent kinds, fewer targets: as a user meets them, by whole processes."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path

import pytest

from tests.project import Project

TODAY = datetime.datetime.now(datetime.UTC).date()


def in_days(days: int) -> str:
    return (TODAY + datetime.timedelta(days=days)).isoformat()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path)


@pytest.fixture
def broken(project: Project) -> Project:
    """`t.smoke.one` (critical) fails."""
    project.edit("value = 1.0", "value = 11.0")
    return project


def add(project: Project, text: str) -> None:
    path = project.folder / "prodcheck.toml"
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")


def waiver(expires: str, check: str = "t.smoke.one", target: str = "fact") -> str:
    return (
        f'[[waivers]]\ncheck = "{check}"\ntarget = "{target}"\nenvironment = "dev"\n'
        f'reason = "known, fixed on Monday"\n'
        f'owner = "team-a"\nticket = "OPS-1"\nexpires = {expires}'
    )


def shown_everywhere(project: Project, *words: str) -> None:
    """In the terminal, the text, JSON and HTML reports, and what `prodcheck gate` says."""
    reports = ("--prodcheck-report", "r.txt", "--prodcheck-json", "r.json", "--html", "r.html", "--self-contained-html")
    done = project.pytest(*reports)
    said = {
        "terminal": done.stdout,
        "gate": project.prodcheck("gate", "smoke", "--env", "dev").stdout,
        "json of gate": project.prodcheck("gate", "smoke", "--env", "dev", "--format", "json").stdout,
        **{name: (project.folder / name).read_text(encoding="utf-8") for name in ("r.txt", "r.json", "r.html")},
    }
    for name, text in said.items():
        for word in words:
            assert word in text, f"{word!r} is not in the {name}:\n{text[:3000]}"


# -- waivers


def test_a_waived_failure_opens_and_is_shown_everywhere(broken: Project) -> None:
    add(broken, waiver(in_days(60)))
    done = broken.pytest()
    assert done.returncode == 0, done.stdout
    assert "1 failed" in done.stdout
    assert broken.gate() == 0
    shown_everywhere(broken, "OPS-1", "known, fixed on Monday")


def test_an_expired_waiver_does_not_help(broken: Project) -> None:
    """Row 22."""
    add(broken, waiver(in_days(-1)))
    done = broken.pytest()
    assert done.returncode == 1
    assert "OPS-1" in done.stdout
    assert broken.gate() == 1


def test_a_waiver_for_no_check_is_a_usage_error(broken: Project) -> None:
    """Row 22."""
    add(broken, waiver(in_days(60), check="t.smoke.onne"))
    done = broken.pytest()
    assert done.returncode in (4, 12)
    assert "t.smoke.one" in done.stdout + done.stderr
    assert broken.gate() in (2, 3)
    assert broken.prodcheck("run", "smoke", "--env", "dev").returncode == 2


def test_a_waiver_that_ends_soon_warns_and_an_unused_one_is_noted(broken: Project) -> None:
    add(broken, waiver(in_days(5)))
    add(broken, waiver(in_days(90), check="t.smoke.two").replace("OPS-1", "OPS-2"))
    done = broken.pytest()
    assert done.returncode == 0, done.stdout
    assert "OPS-1" in done.stdout
    assert broken.gate("--strict") == 1
    assert "OPS-2" in broken.prodcheck("gate", "smoke", "--env", "dev", "--explain").stdout


def test_an_errored_check_cannot_be_waived(project: Project) -> None:
    judged = 'judge("fact is there", fact.value is not None)'
    project.edit(judged, "judge('nothing', None, at_most=1)", "checks/test_facts.py")
    add(project, waiver(in_days(60), check="t.smoke.two"))
    assert project.pytest().returncode == 13
    assert project.gate() == 3


# -- overrides


def test_an_override_opens_for_a_while_and_is_recorded(broken: Project) -> None:
    assert broken.pytest().returncode == 1
    assert broken.gate() == 1
    ask = ("override", "smoke", "--env", "dev", "--reason", "the site burns", "--ticket", "INC-9", "--for")
    assert broken.prodcheck(*ask, "48h").returncode == 2
    done = broken.prodcheck(*ask, "30m")
    assert done.returncode == 0, done.stderr
    said = broken.prodcheck("gate", "smoke", "--env", "dev")
    assert said.returncode == 0
    assert "INC-9" in said.stdout
    assert "the site burns" in said.stdout
    shown_everywhere(broken, "INC-9")
    (told,) = json.loads(broken.prodcheck("history", "--env", "dev", "--format", "json").stdout)["overrides"]
    assert (told["subject"], told["body"]["ticket"]) == ("smoke", "INC-9")


def test_an_override_is_scoped_and_ends(broken: Project) -> None:
    broken.pytest()
    ask = ("override", "smoke", "--env", "dev", "--revision", "r1", "--reason", "now", "--ticket", "I-9", "--for", "2s")
    assert broken.prodcheck(*ask).returncode == 0
    assert broken.gate("--revision", "r1") == 0
    assert broken.gate("--revision", "r2") == 4
    assert broken.gate("--unit", "shop") == 2
    time.sleep(2.2)
    assert broken.gate("--revision", "r1") == 1


@pytest.mark.parametrize("missing", ["--reason", "--ticket", "--for"])
def test_an_override_needs_a_reason_a_ticket_and_an_end(broken: Project, missing: str) -> None:
    words = {"--reason": "r", "--ticket": "t", "--for": "5m"}
    del words[missing]
    asked = [word for pair in words.items() for word in pair]
    assert broken.prodcheck("override", "smoke", "--env", "dev", *asked).returncode == 2
    assert not (broken.folder / ".prodcheck" / "overrides").exists() or broken.gate() != 0


# -- exec


def test_exec_asks_runs_and_records(project: Project) -> None:
    assert project.prodcheck("exec", "smoke", "--env", "dev", "--", "touch", "ran").returncode == 3
    assert not (project.folder / "ran").exists()
    project.pytest()
    assert project.prodcheck("exec", "smoke", "--env", "dev", "--", "touch", "ran").returncode == 0
    assert (project.folder / "ran").exists()
    assert project.prodcheck("exec", "smoke", "--env", "dev", "--", "sh", "-c", "exit 7").returncode == 7
    lines = (project.folder / ".prodcheck" / "actions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["gate"] for line in lines][-2:] == ["smoke", "smoke"]


# -- observation


def test_an_observed_gate_answers_0_and_says_so(broken: Project) -> None:
    add(broken, f"[gates.smoke]\nobserve_until = {in_days(30)}")
    assert broken.pytest().returncode == 0
    assert broken.gate() == 0
    shown_everywhere(broken, in_days(30))


def test_observation_ends_at_its_date(broken: Project) -> None:
    """Row 45."""
    add(broken, f"[gates.smoke]\nobserve_until = {in_days(-1)}")
    assert broken.pytest().returncode == 1
    assert broken.gate() == 1


# -- promotion


def test_a_gate_that_needs_another(project: Project) -> None:
    needs = 'needs = [{ gate = "dev:smoke", open_for = "8s" }]'
    add(project, f'[gates.promote]\nenvironments = ["live"]\nselect = ["t.smoke.*"]\n{needs}')
    run = ("run", "promote", "--env", "live", "--revision", "r1")
    assert project.prodcheck(*run).returncode == 3
    assert project.pytest().returncode == 0
    assert project.prodcheck(*run).returncode == 3  # open, but not for long enough
    time.sleep(8)
    done = project.prodcheck(*run)
    assert done.returncode == 0, done.stdout
    assert project.prodcheck("run", "promote", "--env", "live", "--revision", "r2").returncode == 3
    project.edit("value = 1.0\n\n[environments.live]", "value = 11.0\n\n[environments.live]")
    assert project.pytest().returncode == 1
    assert project.prodcheck(*run).returncode == 1


# -- what is declared


def test_a_deleted_section_is_noticed_where_protected(project: Project) -> None:
    """Row 35."""
    project.edit('absent = ["services", ', "absent = [")
    done = project.pytest("--revision", "r1", env="live")
    assert done.returncode == 13
    assert "services" in done.stdout
    assert project.gate("--revision", "r1", env="live") == 3


def test_fewer_targets_than_last_time_warns(project: Project) -> None:
    """Row 35."""
    add(project, '[environments.dev.dependencies]\na = { dns = "localhost" }\nb = { dns = "localhost" }')
    assert project.pytest().returncode == 0
    project.edit('b = { dns = "localhost" }', "")
    done = project.pytest()
    assert done.returncode == 0
    assert "there were 2" in done.stdout
    assert project.gate("--strict") == 1


def test_a_limit_that_is_off_is_shown_and_refused_where_protected(broken: Project) -> None:
    """Row 45."""
    add(broken, '[environments.dev.thresholds]\n"t.smoke.one" = "off"')
    assert broken.pytest().returncode == 0
    shown_everywhere(broken, "t.smoke.one")
    add(broken, '[environments.live.thresholds]\n"t.smoke.one" = "off"')
    done = broken.pytest("--revision", "r1", env="live")
    assert done.returncode == 4
    assert "protected" in done.stderr


def test_skip_reasons_that_a_gate_does_not_allow(project: Project) -> None:
    add(project, '[gates.smoke]\nskips = ["out-of-reach"]')
    assert project.pytest().returncode == 13
    assert project.gate() == 3
