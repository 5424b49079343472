"""Evidence in memory, shared with workers, saved and read again."""

from __future__ import annotations

import json
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_prodcheck.environments.redaction import Redactor
from pytest_prodcheck.evidence.gathering import codec
from pytest_prodcheck.evidence.gathering.store import EvidenceFilesError, EvidenceStore, SharedFolder, load
from pytest_prodcheck.records import Evidence, EvidenceProblem, Exchange, Problem
from pytest_prodcheck.records.flow import NameAnswer, StepAnswer, WorkflowRun
from pytest_prodcheck.records.services import AnswerSchema, Contract, Health, OpenApi

EXCHANGE = Exchange(
    "GET", "https://shop.example/x", 200, (("A", "1"), ("A", "2")), '{"a": "canary-secret"}', 22, 0.1, "1.2.3.4:443"
)
HEALTH = Evidence(
    "http-health:shop",
    "http-health",
    "shop",
    1000.5,
    0.25,
    Health(EXCHANGE, (replace(EXCHANGE, body=None),)),
    None,
    ("note",),
)
BAD = Evidence[Any]("dns-name:x", "dns-name", "x", 1000.0, 5.0, None, Problem("dns", "gone", "hint"))
RUN = WorkflowRun(
    (StepAnswer("a", False, EXCHANGE), StepAnswer("b", True, None, ("why",), Problem("reset", "r"), True))
)
WORKFLOW = Evidence("workflow:order", "workflow", "order", 1.0, 1.0, RUN)
DOCUMENT = Evidence(
    "http-openapi:shop", "http-openapi", "shop", 1.0, 1.0, OpenApi(EXCHANGE, {"a": [1, None]}, ("p",), ())
)
_OBJECT = AnswerSchema("default", "*/*", {"type": "object"})
CONTRACT = Evidence("http-contract:shop.x", "http-contract", "shop.x", 1.0, 1.0, Contract("f.json", (_OBJECT,)))
ALL = (HEALTH, BAD, WORKFLOW, DOCUMENT, CONTRACT)


@pytest.mark.parametrize("evidence", ALL, ids=lambda evidence: evidence.key)
def test_evidence_survives_json(evidence: Evidence[Any]) -> None:
    assert codec.load(codec.parse(codec.text(codec.dump(evidence)).encode())) == evidence


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_none_are_refused(number: float) -> None:
    record = NameAnswer("n", "s", (), (), number)
    with pytest.raises(ValueError, match="not a JSON number"):
        codec.dump(Evidence("dns-name:x", "dns-name", "x", 1.0, 1.0, record))


def test_get_waits_for_put_and_notes_what_was_read() -> None:
    store = EvidenceStore()
    store.expect([HEALTH.key, BAD.key])
    threading.Timer(0.1, store.put, (HEALTH,)).start()
    assert store.get(HEALTH.key, 5) == HEALTH
    assert store.read == {HEALTH.key}


def test_the_first_piece_of_a_key_stays() -> None:
    store = EvidenceStore()
    store.put(HEALTH)
    store.put(replace(HEALTH, seconds=99.0))
    assert store.get(HEALTH.key, 0).seconds == 0.25


def test_what_is_not_planned_is_unread_at_once() -> None:
    store = EvidenceStore()
    store.expect([BAD.key])
    started = time.monotonic()
    with pytest.raises(EvidenceProblem) as caught:
        store.get(HEALTH.key, 30)
    assert caught.value.problem.kind == "unread"
    assert time.monotonic() - started < 2
    with pytest.raises(EvidenceProblem) as caught:
        store.get(BAD.key, 0.05)
    assert caught.value.problem.kind == "timeout"


def test_workers_read_what_the_controller_puts() -> None:
    folder = SharedFolder.create()
    try:
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        redactor = Redactor()
        redactor.add("canary-secret")
        store = EvidenceStore(folder, redactor)
        worker = SharedFolder(folder.path)
        with pytest.raises(EvidenceProblem, match="not gathered within"):
            worker.get(HEALTH.key, 0.05)
        store.expect([HEALTH.key, BAD.key])
        with pytest.raises(EvidenceProblem, match="not in the plan"):
            worker.get("dns-name:other", 5)
        threading.Timer(0.1, store.put, (HEALTH,)).start()
        found = worker.get(HEALTH.key, 5)
        assert cast(Any, found.record).exchange.body == '{"a": "[redacted]"}'
        assert worker.read == {HEALTH.key}
        for file in folder.path.iterdir():
            assert "canary-secret" not in file.read_text()
    finally:
        folder.remove()
    assert not folder.path.exists()


def test_saves_redacted_without_bodies_and_reads_again(tmp_path: Path) -> None:
    redactor = Redactor()
    redactor.add("canary-secret")
    store = EvidenceStore(redactor=redactor)
    for evidence in ALL:
        store.put(evidence)
    store.save(tmp_path / "run" / "evidence", keep_bodies=False)
    store.save(tmp_path / "whole", keep_bodies=True)
    saved = load(tmp_path / "run" / "evidence")
    assert saved.keys() == tuple(sorted(each.key for each in ALL))
    assert cast(Any, saved.get(HEALTH.key).record).exchange.body is None
    assert cast(Any, saved.get(DOCUMENT.key).record).document is None
    assert saved.get(BAD.key) == BAD
    assert saved.get(HEALTH.key).gathered_at == 1000.5
    with pytest.raises(EvidenceProblem, match="not in the saved evidence"):
        saved.get("http-health:other")
    assert cast(Any, load(tmp_path / "whole").get(HEALTH.key).record).exchange.body == '{"a": "[redacted]"}'


def test_a_record_that_json_cannot_hold_is_saved_as_a_problem(tmp_path: Path) -> None:
    store = EvidenceStore()
    store.put(Evidence("dns-name:x", "dns-name", "x", 1.0, 1.0, NameAnswer("n", "s", (), (), float("nan"))))
    store.save(tmp_path, keep_bodies=True)
    problem = load(tmp_path).get("dns-name:x").problem
    assert problem is not None
    assert "cannot be saved" in problem.message


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/b", "workflow:..", "x" * 5000, "a:b\0c", "ünïcode:…"])
def test_file_names_are_safe(key: str) -> None:
    name = codec.file_name(key)
    assert "/" not in name
    assert len(name) < 120
    assert name.isascii()
    assert not name.startswith(".")


GOOD = codec.dump(BAD)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps({**GOOD, "schema": "prodcheck-evidence/9"}).encode(),
        json.dumps({**GOOD, "extra": 1}).encode(),
        json.dumps({**GOOD, "key": "dns-name:other"}).encode(),
        json.dumps({**GOOD, "gathered_at": "yesterday"}).encode(),
        json.dumps({**GOOD, "gathered_at": True}).encode(),
        json.dumps(GOOD).replace("1000.0", "NaN").encode(),
        json.dumps({**GOOD, "problem": None}).encode(),
        json.dumps({**GOOD, "problem": {"kind": "no such", "message": ""}}).encode(),
        json.dumps({**GOOD, "problem": None, "record": {"name": 1}}).encode(),
        json.dumps({**codec.dump(HEALTH), "record": {"exchange": {"status": "200"}, "samples": []}}).encode(),
    ],
)
def test_hostile_files_give_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "evil.json").write_bytes(content)
    with pytest.raises(EvidenceFilesError) as caught:
        load(tmp_path)
    assert "evil.json" in str(caught.value)
    assert len(str(caught.value)) < 800


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvidenceFilesError, match="no saved evidence"):
        load(tmp_path / "none")
