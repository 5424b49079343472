"""Files that somebody damaged or edited: one clear message, never a traceback, never a gate opened by it."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.cli.gate_answer import as_json, as_text
from pytest_prodcheck.evidence.gathering.codec import LARGEST
from pytest_prodcheck.evidence.gathering.store import EvidenceFilesError, load
from pytest_prodcheck.gates.decision import decide
from pytest_prodcheck.gates.verdict_files import VerdictQuery
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.reports import write
from pytest_prodcheck.reports.json_report import read_run
from tests.evidence.http.servers import ok, web
from tests.hostile.support import bare, is_readable
from tests.project import Project
from tests.soak import SOAK

ROUNDS = 10_000 if SOAK else 200
PIECES = [
    "null", "true", "false", "0", "-1", "1e400", "NaN", "-Infinity", '""', "[]", "{}", "[" * 3000, '{"a":' * 3000,
    "9" * 5000, '"\\ud800"', '"\\u0000"', '"' + "x" * 3000 + '"', "1.5", '"open"', "4102444800", "\x00", "\xff",
    '"::error::x"', '"\\u001b[31m"', ",", '{"schema": "x"}',
]  # fmt: skip
TOML = """\
version = 1
project = "files"
[environments.dev]
revision = "r1"
[environments.dev.services.shop]
url = "http://127.0.0.1:{port}"
health = "/healthz"
endpoints.page = {{ request = "GET /", status = 200 }}
[environments.dev.dependencies.port]
tcp = "127.0.0.1:{port}"
"""


def spoilt(content: bytes, chance: random.Random) -> bytes:
    """Changed by bytes, by pieces of text, or as data that is written well again."""
    raw = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(raw) + 1)
        match chance.randrange(7):
            case 0:
                raw[at : at + chance.choice((1, 2, 50))] = b""
            case 1:
                raw[at:at] = chance.choice(PIECES).encode("utf-8", "surrogatepass")
            case 2:
                raw[at : at + 1] = bytes([chance.randrange(256)])
            case 3:
                del raw[at:]
            case 4:
                raw[at:at] = raw[chance.randrange(len(raw) + 1) :][:100]
            case _:
                raw = bytearray(edited(bytes(raw), chance))
        if not raw:
            break
    return bytes(raw)


def edited(content: bytes, chance: random.Random) -> bytes:
    """Good JSON with one value or key of another kind."""
    try:
        data = json.loads(content)
        places = list(_places(data))
        holder, key = chance.choice(places)
        match chance.randrange(4):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[chance.choice(("x", "", "schema", "code", "\x1b[31m"))] = holder[key]
            case _:
                kinds: tuple[Any, ...] = (None, True, 0, -1, 10**30, 1e308, "", "open", "x" * 500, [], {}, [[]])
                holder[key] = chance.choice(kinds)
        return json.dumps(data).encode()
    except (ValueError, IndexError, RecursionError):
        return content


def _places(data: Any) -> Any:
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        yield data, key
        yield from _places(data[key])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One real run that ended open."""
    folder = tmp_path_factory.mktemp("files")
    with web(ok) as server:
        made = bare(folder, TOML.format(port=server.port))
        done = made.pytest()
    assert done.returncode == 0, done.stdout
    assert made.gate() == 0
    return made


def answer(project: Project, verdict: str = "", explain: bool = False) -> tuple[int, str]:
    """What `prodcheck gate` answers, in this process."""
    ask = VerdictQuery("smoke", "dev", verdict=verdict)
    now = time.time()
    decision = decide(ask, now, str(project.folder))
    return decision.code, as_text(decision, ask, now, explain=explain) + as_json(decision)


@pytest.mark.parametrize("travels", [False, True], ids=["in the store", "as a file"])
def test_verdicts(project: Project, travels: bool, tmp_path: Path) -> None:
    """A verdict opens only while it says what it said: spaces between its parts may differ."""
    (file,) = project.verdict_files()
    good = file.read_bytes()
    code, _ = answer(project)
    assert code == 0
    target = tmp_path / "v.json" if travels else file
    meant = json.loads(good)
    try:
        for number in range(ROUNDS):
            bad = spoilt(good, random.Random(number))
            target.write_bytes(bad)
            code, text = answer(project, str(target) if travels else "", explain=number % 2 == 0)
            if code == 0:
                assert json.loads(bad) == meant, number
            else:
                assert code in (3, 4), (number, code)
            assert is_readable(text), number
            assert 0 < len(text) < 50_000, number
    finally:
        file.write_bytes(good)


@pytest.mark.parametrize("suffix", [".ticket", ".previous", ".lock"])
def test_what_lies_beside_the_verdict(project: Project, suffix: str) -> None:
    (verdict,) = project.verdict_files()
    beside = next((each for each in verdict.parent.iterdir() if each.name.endswith(suffix)), None)
    if beside is None:
        pytest.skip(f"a first open run leaves no {suffix}")
    good = beside.read_bytes()
    try:
        for number in range(ROUNDS // 4):
            bad = spoilt(good or b"{}", random.Random(number))
            beside.write_bytes(bad)
            code, text = answer(project)
            assert code in (0, 3, 4), number
            if code == 0 and suffix == ".ticket":
                assert json.loads(bad)["number"] == json.loads(good)["number"], number
            assert is_readable(text), number
    finally:
        beside.write_bytes(good)


def test_evidence(project: Project, tmp_path: Path) -> None:
    """Evidence that was changed loads, or is refused in one line; a record is never of another shape."""
    (folder,) = project.folder.glob(".prodcheck/runs/*/evidence")
    files = sorted(folder.glob("*.json"))
    assert len(files) >= 3
    for number in range(ROUNDS):
        chance = random.Random(number)
        place = tmp_path / str(number)
        place.mkdir()
        chosen = chance.choice(files)
        (place / chosen.name).write_bytes(spoilt(chosen.read_bytes(), chance))
        told = one_line(lambda place=place: load(place), EvidenceFilesError)  # type: ignore[misc]
        if isinstance(told, str):
            assert chosen.name in told, number
            continue
        for key in told.keys():  # noqa: SIM118 - a method, not a mapping
            one_line(lambda key=key, told=told: told.get(key), EvidenceProblem)  # type: ignore[misc]
        (place / chosen.name).unlink()


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, LARGEST + 1)


def test_evidence_of_other_kinds(tmp_path: Path) -> None:
    """Folders, links, pipes and huge files where evidence should be."""
    makers: list[Callable[[Path], object]] = [
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
        lambda path: os.mkfifo(path),
        huge,
    ]
    for number, make in enumerate(makers):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder / "x.json")
        with pytest.raises(EvidenceFilesError, match=r"x\.json"):
            load(folder)


def test_run_records(project: Project) -> None:
    """A run record that was changed is shown or refused in one line."""
    (file,) = project.folder.glob(".prodcheck/runs/*/run.json")
    good = file.read_bytes()
    shown = 0
    for number in range(ROUNDS):
        chance = random.Random(number)
        bad = spoilt(good, chance)
        run = one_line(lambda bad=bad: read_run(bad), ValueError)  # type: ignore[misc]
        if not isinstance(run, str):
            shown += 1
            for form in ("text", "json"):
                write(form, run, [])
    assert shown


def one_line(call: Callable[[], Any], refusal: type[Exception]) -> Any:
    """What a call returns, or the one line in which it refuses; anything else that it raises is a bug."""
    try:
        return call()
    except refusal as error:
        text = str(error)
        assert text.strip()
        assert "\n" not in text
        assert len(text) < 1000
        assert is_readable(text)
        return text


@pytest.mark.parametrize("number", range(3))
def test_whole_runs_on_spoilt_evidence(project: Project, number: int) -> None:
    """`--evidence-from` such a run: told in words, opens nothing."""
    (folder,) = project.folder.glob(".prodcheck/runs/*")
    file = sorted((folder / "evidence").glob("*.json"))[number]
    good = file.read_bytes()
    try:
        file.write_bytes((b"", b"[]", good.replace(b'"status":', b'"state":').replace(b'"problem":', b'"p":'))[number])
        done = project.pytest("--evidence-from", folder.name)
        assert done.returncode not in (0, 1)
        assert is_readable(done.stdout + done.stderr)
        assert file.name in done.stdout + done.stderr
    finally:
        file.write_bytes(good)
