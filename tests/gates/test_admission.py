"""Rows 7 to 10 of the fail-open table: which documents may open a gate, and which never."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck import __version__
from pytest_prodcheck.gates import seal
from pytest_prodcheck.gates.boot_clock import since_boot
from pytest_prodcheck.gates.run_gates import RunGates
from pytest_prodcheck.gates.store import Key
from pytest_prodcheck.outcomes import Outcome
from tests.gates.published import SECRET, ask, publish, reasons_text
from tests.gates.samples import NOW, configuration, result


def test_open(root: Path) -> None:
    publish(root)
    assert ask(root).code == 0
    assert ask(root, revision="r1", max_age=60).code == 0
    (root / "deeper").mkdir()
    assert ask(root / "deeper").code == 0


@pytest.mark.parametrize(("outcome", "code"), [(Outcome.FAILED, 1), (Outcome.ERRORED, 3), (Outcome.WARNED, 0)])
def test_the_verdicts_own_code(root: Path, outcome: Outcome, code: int) -> None:
    publish(root, result(outcome=outcome))
    assert ask(root).code == code


def test_strict_blocks_on_warnings(root: Path) -> None:
    publish(root, result(outcome=Outcome.WARNED))
    assert ask(root, strict=True).code == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"revision": "r2"}, "revision r1, but you asked about r2"),
        ({"unit": "buying"}, "there is no verdict"),
        ({"slot": "green"}, "there is no verdict"),
        ({"environment": "production"}, "there is no verdict"),
        ({"run": "run-2"}, "run-1"),
        ({"max_age": 10.5}, "stale"),
    ],
)
def test_bound_to_what_was_judged(root: Path, changes: dict[str, Any], words: str) -> None:
    """Rows 8 and 36."""
    publish(root)
    decision = ask(root, **changes)
    assert decision.code in (3, 4)
    assert words in reasons_text(decision)


@pytest.mark.parametrize("changes", [{"unit": "u"}, {"slot": "s"}, {"environment": "production"}, {"revision": ""}])
def test_a_file_about_something_else(root: Path, changes: dict[str, Any]) -> None:
    """Rows 8 and 36, where the verdict travelled as a file."""
    file = publish(root, **changes)
    assert ask(root, verdict=str(file), revision="r1").code == 4


def test_a_verdict_travels_as_a_file(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(root)
    assert ask(root, verdict=str(file)).code == 0
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    decision = ask(elsewhere, verdict=str(file))
    assert (decision.code, "cannot be compared" in reasons_text(decision)) == (4, True)
    monkeypatch.delenv("PRODCHECK_KEY")
    assert "without a key" in reasons_text(ask(elsewhere, verdict=str(file)))
    assert ask(elsewhere, verdict=str(file)).code == 4
    assert not (elsewhere / ".prodcheck").exists()


def test_a_verdict_made_without_a_file(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The embedded demo needs no prodcheck.toml; anything else made without one is refused where there is one."""
    bare = tmp_path_factory.mktemp("bare")
    publish(bare, configuration={})
    assert ask(bare).code == 0
    configuration(bare)
    assert ask(bare).code == 4
    publish(bare, configuration={}, environment="demo")
    assert ask(bare, environment="demo").code == 0


def test_protected_always_asks_for_a_revision(root: Path) -> None:
    publish(root, protected=True)
    assert ask(root, revision=None).code == 2
    assert ask(root, revision="r1").code == 0


def test_no_revision_is_one_of_its_own(root: Path) -> None:
    """Row 110: it stands for no named one, and an empty variable of the pipeline is a mistake."""
    publish(root)
    assert "revision r1, but you asked about -" in reasons_text(ask(root, revision=None))
    assert ask(root, revision=None).code == 4
    for empty in ("", " ", "r1\n"):
        assert ask(root, revision=empty).code == 2
    publish(root, revision="")
    assert ask(root, revision=None).code == 0
    assert ask(root, revision="r1").code == 4


def test_the_revision_of_the_environment_variable_or_the_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'version = 1\n[environments.base]\nrevision = "r1"\n[environments.staging]\nextends = "base"\n'
    publish(root, protected=True, configuration=configuration(root, text))
    assert ask(root, revision=None).code == 0
    monkeypatch.setenv("PRODCHECK_REVISION", "r2")
    assert ask(root, revision=None).code == 4
    assert ask(root, revision="r1").code == 0
    monkeypatch.delenv("PRODCHECK_REVISION")
    configuration(root, 'version = 1\n[environments.staging]\nrevision = "{tag}"\n')
    assert ask(root, revision=None).code == 2
    configuration(root, "revision = [[[")
    assert ask(root, revision=None).code == 2


@pytest.mark.parametrize(
    ("later", "code"), [(-60, 4), (-4, 0), (0, 0), (889, 0), (890, 4), (891, 4), (10**9, 4), (-(10**9), 4)]
)
def test_age_and_clocks(root: Path, later: float, code: int) -> None:
    """Row 9: expired, from the future, clock moved back."""
    publish(root)
    assert ask(root, now=NOW + later).code == code


def test_max_age_only_shortens(root: Path) -> None:
    publish(root)
    decision = ask(root, now=NOW + 800, max_age=3600)
    assert decision.code == 0
    assert "can only make the limit stricter" in decision.says[0]
    assert ask(root, now=NOW + 1000, max_age=3600).code == 4


def test_the_configuration_is_the_one_that_was_judged(root: Path) -> None:
    """Row 8: policy."""
    from hashlib import sha256

    (root / "more.toml").write_text("a = 1\n")
    files = {
        **configuration(root, 'version = 1\ninclude = ["*.more.toml"]\n'),
        "more.toml": sha256(b"a = 1\n").hexdigest(),
        "include:*.toml": sha256(b"more.toml\nprodcheck.toml").hexdigest(),
    }
    publish(root, configuration=files)
    assert ask(root).code == 0
    (root / "new.toml").write_text("")
    assert "other files match '*.toml'" in reasons_text(ask(root))
    (root / "new.toml").unlink()
    (root / "more.toml").write_text("a = 2\n")
    assert "more.toml has changed" in reasons_text(ask(root))
    (root / "more.toml").unlink()
    assert ask(root).code == 4
    publish(root, configuration={"other.toml": "0"})
    assert ask(root).code == 4


GARBAGE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"open"',
    b"0",
    b"NaN",
    b'{"code": NaN}',
    b"\xff\xfe",
    b"[" * 100000,
    b'{"a":' * 100000,
]


@pytest.mark.parametrize("content", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage(root: Path, content: bytes) -> None:
    """Row 7."""
    publish(root).write_bytes(content)
    decision = ask(root)
    assert decision.code == 3
    assert decision.document is None
    assert "damaged" in reasons_text(decision)


def test_absent_a_folder_another_schema(root: Path) -> None:
    """Row 7."""
    assert "no run has judged" in reasons_text(ask(root))
    file = publish(root)
    document = json.loads(file.read_text())
    file.write_text(json.dumps(seal.sign({**document, "schema": "prodcheck-verdict/2"}, SECRET.encode())))
    assert ask(root).code == 4
    file.unlink()
    file.mkdir()
    assert ask(root).code == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_unreadable(root: Path) -> None:
    """Row 7."""
    publish(root).chmod(0)
    assert ask(root).code == 3


def test_truncated_at_each_byte(root: Path) -> None:
    """Row 7."""
    file = publish(root)
    content = file.read_bytes()
    assert ask(root).code == 0
    for length in range(len(content.rstrip())):
        file.write_bytes(content[:length])
        assert ask(root).code == 3, length


def variants(value: object) -> Iterator[object]:
    """Other values for one field."""
    if isinstance(value, dict):
        yield from ({}, {"x": 1}, None, [], {**value, "new": "x"})
    elif isinstance(value, list):
        yield from ([], [*value, "x"], None, {})
    else:
        yield from (None, "", "x", 0, 1, -1, True, [], {}, 10**12, "open", 1e308)


def test_no_field_can_be_edited(root: Path) -> None:
    """Row 8: whatever is changed, added or taken away by hand, it does not open."""
    file = publish(root, result(outcome=Outcome.FAILED))
    blocked = json.loads(file.read_text())
    good = json.loads(publish(root).read_text())
    for document in (good, blocked):
        for name in [*document, "extra"]:
            for value in variants(document.get(name)):
                if name in document and value == document[name] and type(value) is type(document[name]):
                    continue
                edited = {**copy.deepcopy(document), name: value}
                file.write_text(json.dumps(edited))
                assert ask(root).code in (3, 4), (name, value)
            if name in document:
                file.write_text(json.dumps({key: each for key, each in document.items() if key != name}))
                assert ask(root).code in (3, 4), name


def test_sealed_with_the_right_key_yet_not_ours(root: Path) -> None:
    """A document that another version sealed, with fields of other types, is refused and raises nothing."""
    file = publish(root)
    good = json.loads(file.read_text())
    for name in good:
        for value in variants(good[name]):
            file.write_text(json.dumps(seal.sign({**good, name: value}, SECRET.encode())))
            ask(root)
        file.write_text(
            json.dumps(seal.sign({key: each for key, each in good.items() if key != name}, SECRET.encode()))
        )
        ask(root)
    for name, value in (
        ("code", 7),
        ("code", False),
        ("status", "blocked"),
        ("expires_at", None),
        ("oldest_evidence", None),
    ):
        file.write_text(json.dumps(seal.sign({**good, name: value}, SECRET.encode())))
        assert ask(root).code == 4, name


def test_another_key(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(root)
    monkeypatch.setenv("PRODCHECK_KEY", "x" * 32)
    decision = ask(root)
    assert (decision.code, decision.document) == (4, None)
    monkeypatch.setenv("PRODCHECK_KEY", "")
    assert ask(root).code == 2


def test_in_progress_crashed_and_put_back(root: Path) -> None:
    """Row 10."""
    file = publish(root)
    content = file.read_bytes()
    RunGates(root / ".prodcheck", SECRET.encode()).open_run("run-2", [Key("staging", "", "", "smoke")])
    assert "run run-2" in reasons_text(ask(root))
    assert "in progress" in reasons_text(ask(root))
    file.write_bytes(content)
    assert ask(root).code == 3
    ticket = file.with_suffix(".ticket")
    crashed = {**json.loads(ticket.read_text()), "pid": 2**22 + 1}
    ticket.write_bytes(seal.canonical(seal.sign(crashed, SECRET.encode())))
    assert "killed, crashed or interrupted" in reasons_text(ask(root))
    elsewhere = {**crashed, "host": "elsewhere", "pid": "x"}
    ticket.write_bytes(seal.canonical(seal.sign(elsewhere, SECRET.encode())))
    assert "has not finished" in reasons_text(ask(root))
    ticket.write_text(json.dumps({**elsewhere, "run": "another"}))
    assert "another" not in reasons_text(ask(root))
    ticket.unlink()
    assert ask(root).code == 3


@pytest.mark.parametrize("name", ["..", "a/b", "", "-x", "a b"])
def test_names(root: Path, name: str) -> None:
    assert ask(root, environment=name).code == 2
    assert ask(root, unit=name or "/").code == 2


@pytest.mark.parametrize(
    ("boot", "passed", "code"),
    [("b1", 60.0, 0), ("b1", 880.0, 0), ("b1", 900.0, 4), ("b1", -60.0, 0), ("b2", 900.0, 0), ("", 900.0, 0)],
)
def test_a_clock_that_was_set_back_makes_nothing_younger(
    root: Path, monkeypatch: pytest.MonkeyPatch, boot: str, passed: float, code: int
) -> None:
    """Row 63: on the machine that published, the time since it started counts too; the wall clock here stands still."""
    monkeypatch.setattr("pytest_prodcheck.gates.store.since_boot", lambda: ("b1", 1000.0))
    publish(root)
    monkeypatch.setattr("pytest_prodcheck.gates.decision.since_boot", lambda: (boot, 1000.0 + passed))
    decision = ask(root, now=NOW)
    assert decision.code == code, reasons_text(decision)
    assert ("stale" in reasons_text(decision)) == (code == 4)


def test_a_verdict_of_another_version(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 169: bundled checks decide, too."""
    publish(root, version=__version__)
    assert ask(root).code == 0
    monkeypatch.setattr("pytest_prodcheck.gates.admission.__version__", "99.0")
    decision = ask(root)
    assert decision.code == 4
    assert "this is prodcheck 99.0: run the checks again" in reasons_text(decision)


def test_this_machine_knows_since_when_it_runs() -> None:
    boot, uptime = since_boot()
    assert boot == since_boot()[0] != ""
    assert uptime > 0
