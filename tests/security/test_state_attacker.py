"""An attacker who may do anything in the state folder, and has no key, opens no gate that is not open."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from pytest_prodcheck.gates import newest_run, seal
from pytest_prodcheck.gates.decision import decide
from pytest_prodcheck.gates.run_gates import RunGates
from pytest_prodcheck.gates.store import Key, StoreError
from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.gates.verdict_files import VerdictQuery
from pytest_prodcheck.outcomes import Outcome
from tests.gates.samples import configuration, gate, result, run
from tests.soak import SOAK

SECRET = "k" * 32
Files = dict[str, bytes]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRODCHECK_KEY", SECRET)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    project = tmp_path / "project"
    project.mkdir()
    (project / "prodcheck.toml").write_text("version = 1\n")
    return project


def run_with_outcome(
    root: Path, outcome: Outcome, *, environment: str = "staging", name: str = "smoke", number: int = 1
) -> None:
    """One whole run that ends with this outcome now."""
    now = time.time()
    each = replace(result(outcome=outcome), gathered_at=now)
    record = replace(run(each, configuration=configuration(root)), id=f"run-{number}", environment=environment)
    record = replace(record, started_at=now - 1, ended_at=now)
    policy = gate() if name == "smoke" else gate(name=name, select=("smoke.*",))
    run_gates = RunGates(root / ".prodcheck", SECRET.encode())
    run_gates.open_run(record.id, [Key(environment, "", "", name)])
    assert run_gates.publish(run_gates.settle(record, [policy], now)) == []


def code_of_gate(root: Path) -> int:
    return decide(VerdictQuery("smoke", "staging", revision="r1"), time.time(), str(root)).code


def snapshot(root: Path) -> Files:
    state = root / ".prodcheck"
    return {str(each.relative_to(state)): each.read_bytes() for each in state.rglob("*") if each.is_file()}


def restore(root: Path, files: Files) -> None:
    state = root / ".prodcheck"
    shutil.rmtree(state)
    for name, content in files.items():
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_bytes(content)


def history(root: Path) -> list[Files]:
    """What an attacker could have copied: OPEN, then BLOCKED; of other gates and environments, too."""
    seen = []
    run_with_outcome(root, Outcome.PASSED, environment="dev")
    run_with_outcome(root, Outcome.PASSED, name="other")
    run_with_outcome(root, Outcome.PASSED, number=1)
    assert code_of_gate(root) == 0
    seen.append(snapshot(root))
    run_with_outcome(root, Outcome.PASSED, number=2)
    assert code_of_gate(root) == 0
    seen.append(snapshot(root))
    run_with_outcome(root, Outcome.FAILED, number=3)
    assert code_of_gate(root) == 1
    seen.append(snapshot(root))
    return seen


def edited(content: bytes) -> list[bytes]:
    """Edits of an unsealed mind: numbers, codes, times."""
    try:
        document = json.loads(content)
    except ValueError:
        return []
    if not isinstance(document, dict):
        return []
    changes = ({"number": 1}, {"number": 2}, {"number": 3}, {"at": time.time() + 60}, {"code": 0, "status": "open"},
               {"ticket": 3, "number": 3}, {"schema": "prodcheck-verdict/1"})  # fmt: skip
    return [json.dumps({**document, **change}).encode() for change in changes]


def test_old_files_in_any_arrangement(root: Path) -> None:
    """Each of verdict, ticket and previous is anything that ever lay in the state folder, edited or not."""
    seen = history(root)
    pool = {content for files in seen for content in files.values()}
    pool |= {each for content in list(pool) for each in edited(content)}
    every = [None, b"", b"{}", *sorted(pool)]
    folder = root / ".prodcheck" / "verdicts" / "staging" / "_" / "_"
    tried = 0
    for verdict, ticket in itertools.product(every, every):
        for name, content in (("smoke.json", verdict), ("smoke.ticket", ticket)):
            if content is None:
                (folder / name).unlink(missing_ok=True)
            else:
                (folder / name).write_bytes(content)
        assert code_of_gate(root) != 0, (verdict, ticket)
        tried += 1
    assert tried > 1000


def test_the_whole_folder_put_back(root: Path) -> None:
    for files in history(root)[:2]:
        restore(root, files)
        assert code_of_gate(root) == 3


@pytest.mark.parametrize("seed", range(2000 if SOAK else 12))
def test_two_runs_with_an_attacker_between(root: Path, seed: int) -> None:
    """Random renames, copies, edits, cuts and links; then a run that blocks; then the same again."""
    chance = random.Random(seed)
    seen = history(root)
    for number in (4, 5):
        attack(root, seen, chance)
        assert code_of_gate(root) != 0
        with suppress(StoreError, OSError):  # a run may refuse to work in such a mess: its gate stays closed
            run_with_outcome(root, Outcome.FAILED, number=number)
        assert code_of_gate(root) != 0
        attack(root, seen, chance)
        assert code_of_gate(root) != 0


def attack(root: Path, seen: list[Files], chance: random.Random) -> None:
    state = root / ".prodcheck"
    for _ in range(chance.randint(1, 6)):
        present = [each for each in state.rglob("*") if each.name not in ("v", "w")]
        files = [each for each in present if each.is_file() and not each.is_symlink()]
        names = [state / name for name in sorted({name for each in seen for name in each})]
        place, other = chance.choice(names), chance.choice(files or names)
        try:
            what = chance.randrange(8)
            if what == 0:
                os.replace(other, place)
            elif what == 1:
                shutil.copyfile(other, place)
            elif what == 2:
                place.write_bytes(chance.choice(edited(other.read_bytes()) or [b"{}"]))
            elif what == 3:
                place.write_bytes(other.read_bytes()[: chance.randrange(400)])
            elif what == 4:
                place.unlink()
                os.link(other, place)
            elif what == 5:
                place.unlink()
                place.symlink_to(other)
            elif what == 6:
                restore(root, chance.choice(seen))
            else:
                folder = place.parent
                os.replace(folder, state / "moved")
                folder.symlink_to(state / "moved")
        except OSError:
            continue


def test_an_honest_run_opens_again_after_an_attack(root: Path) -> None:
    """The other law: whoever put old files back stops nobody for good."""
    restore(root, history(root)[0])
    assert code_of_gate(root) == 3
    run_with_outcome(root, Outcome.PASSED, number=4)
    assert code_of_gate(root) == 0


def test_a_state_folder_that_was_removed_or_brought_from_another_machine(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(root)
    shutil.rmtree(root / ".prodcheck")
    run_with_outcome(root, Outcome.PASSED, number=4)
    assert code_of_gate(root) == 0
    files = snapshot(root)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    restore(root, files)
    assert code_of_gate(root) == 0


def test_a_clock_that_was_set_back_between_two_runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_with_outcome(root, Outcome.PASSED)
    old = snapshot(root)
    earlier = time.time() - 3600
    monkeypatch.setattr("pytest_prodcheck.gates.store.time.time", lambda: earlier)
    run_with_outcome(root, Outcome.FAILED, number=2)
    monkeypatch.undo()
    monkeypatch.setenv("PRODCHECK_KEY", SECRET)
    monkeypatch.setenv("XDG_STATE_HOME", str(root.parent / "home"))
    restore(root, old)
    assert code_of_gate(root) == 3


def test_without_a_home_a_run_and_its_gate_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then putting the whole folder back is not noticed: SECURITY.md says so. Anything less is."""
    (root.parent / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(root.parent / "file"))
    run_with_outcome(root, Outcome.PASSED)
    old = snapshot(root)
    assert code_of_gate(root) == 0
    run_with_outcome(root, Outcome.FAILED, number=2)
    name = "verdicts/staging/_/_/smoke"
    (root / ".prodcheck" / f"{name}.json").write_bytes(old[f"{name}.json"])
    assert code_of_gate(root) == 3


def test_a_damaged_note_says_what_to_do(root: Path) -> None:
    run_with_outcome(root, Outcome.PASSED)
    Path(newest_run.file_of(str(root / ".prodcheck"))).write_text("?\n")
    decision = decide(VerdictQuery("smoke", "staging", revision="r1"), time.time(), str(root))
    assert decision.code == 3
    assert "remove it" in decision.reasons[0][1]


def test_the_key_is_not_found_by_what_a_verdict_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[seal] in an included file; a verdict sealed with a key of the attacker's names prodcheck.toml alone."""
    monkeypatch.delenv("PRODCHECK_KEY", raising=False)
    monkeypatch.setenv("SEAL_KEY", "the-real-key-that-only-the-pipeline-knows")
    (tmp_path / "conf").mkdir()
    (tmp_path / "prodcheck.toml").write_text('version = 1\ninclude = ["conf/*.toml"]\n')
    (tmp_path / "conf" / "seal.toml").write_text('[seal]\nkey = { env = "SEAL_KEY" }\n')
    state = tmp_path / ".prodcheck"
    key = Key("staging", "", "", "smoke")
    key.file(state).parent.mkdir(parents=True)
    (state / "key").write_text("a" * 64)
    (state / "key").chmod(0o600)
    now = time.time()
    digests = {"prodcheck.toml": sha256((tmp_path / "prodcheck.toml").read_bytes()).hexdigest()}
    forged = Verdict("smoke", "staging", "r", "open", 0, now, now + 900, 900.0, revision="r1", ticket=1,
                     oldest_evidence=now, counts={"passed": 9}, configuration=digests)  # fmt: skip
    mine = b"a" * 64
    key.file(state).write_bytes(seal.canonical(seal.sign(forged.to_document(), mine)))
    ticket = {"key": str(key), "number": 1, "run": "r", "at": now}
    key.file(state).with_suffix(".ticket").write_bytes(seal.canonical(seal.sign(ticket, mine)))
    decision = decide(VerdictQuery("smoke", "staging", revision="r1"), now, str(tmp_path))
    assert decision.code == 4
    assert "the seal is not valid" in decision.reasons[-1][1]


def pipes(folder: Path) -> list[Path]:
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("/dev/zero")
    (folder / "folder").mkdir()
    return [folder / "pipe", folder / "link", Path("/dev/zero"), folder / "folder"]


def test_odd_files_in_place_of_a_verdict(root: Path, tmp_path: Path) -> None:
    run_with_outcome(root, Outcome.PASSED)
    for odd in pipes(tmp_path):
        decision = decide(VerdictQuery("smoke", "staging", verdict=str(odd)), time.time(), str(root))
        assert decision.code == 3
        assert "cannot be read" in decision.reasons[0][1]


@pytest.mark.parametrize("name", ["smoke.json", "smoke.ticket"])
def test_odd_files_in_the_store(root: Path, tmp_path: Path, name: str) -> None:
    run_with_outcome(root, Outcome.PASSED)
    place = root / ".prodcheck" / "verdicts" / "staging" / "_" / "_" / name
    kept = tmp_path / "kept"
    os.replace(place, kept)
    for odd in (*pipes(tmp_path), kept):
        place.unlink(missing_ok=True)
        place.symlink_to(odd)
        assert code_of_gate(root) == 3
    place.unlink()
    os.mkfifo(place)
    assert code_of_gate(root) == 3


def test_nothing_that_an_unsealed_verdict_names_is_opened(root: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    for odd in (*map(str, pipes(tmp_path)), "/dev/zero"):
        file = tmp_path / "evil.json"
        file.write_text(json.dumps({"schema": "prodcheck-verdict/1", "configuration": {odd: "x"}}))
        assert decide(VerdictQuery("smoke", "staging", verdict=str(file)), time.time(), str(root)).code == 4
    assert time.monotonic() - started < 5
