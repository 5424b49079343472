from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.outcomes import Judgement, Outcome, RunRecord
from pytest_prodcheck.reports.json_report import dump_run, read_run, run_document, run_json, schema
from tests.reports.hostile import STRINGS, filled_with_text
from tests.reports.samples import OPEN, RUN, VERDICTS


def validate(document: Any) -> None:
    jsonschema.Draft202012Validator(schema()).validate(document)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    with pytest.raises(jsonschema.ValidationError):
        validate({**run_document(RUN, []), "more": 1})
    with pytest.raises(jsonschema.ValidationError):
        validate({**run_document(RUN, []), "counts": {"passed": -1}})


def test_document() -> None:
    text = run_json(RUN, VERDICTS.values())
    document = json.loads(text)
    validate(document)
    assert document["counts"] == {"passed": 3, "warned": 1, "failed": 1, "skipped": 1, "errored": 1}
    assert document["run"]["results"][0]["judgements"][0]["value"] == 200.0
    assert text.isascii()
    assert read_run(text) == RUN


@pytest.mark.parametrize("text", STRINGS)
def test_hostile_strings_survive_as_data(text: str) -> None:
    run = filled_with_text(RunRecord, text)
    written = run_json(
        run, [filled_with_text(Verdict, text).to_document() | {"schema": "prodcheck-verdict/1", "status": "open"}]
    )
    validate(json.loads(written))
    assert read_run(written) == run
    assert read_run(dump_run(run)) == run
    assert written.isascii()
    assert not any(ord(character) < 32 for character in written.replace("\n", ""))


def test_no_nan() -> None:
    odd = Judgement("x", math.nan, Outcome.ERRORED, margin=math.inf, fail=-math.inf)
    run = replace(RUN, results=(replace(RUN.results[0], judgements=(odd,), gathered_at=math.nan, seconds=math.inf),))
    document = json.loads(run_json(run, [OPEN]), parse_constant=lambda name: pytest.fail(name))
    validate(document)
    (result,) = document["run"]["results"]
    assert result["judgements"][0]["value"] == "nan"
    assert result["gathered_at"] is None


GOOD = json.loads(dump_run(RUN))
_CHANGES: list[dict[str, Any]] = [
    {"id": None}, {"id": 3}, {"more": 1}, {"more\n\x1b": 1}, {"protected": "yes"}, {"started_at": "now"},
    {"started_at": True},
    {"started_at": 10**400}, {"started_at": math.nan}, {"started_at": math.inf}, {"results": {}},
    {"results": [3]}, {"planned": [{}]},
    {"results": [{**GOOD["results"][0], "outcome": "fine"}]},
    {"results": [{**GOOD["results"][0], "outcome": ["passed"]}]},
    {"results": [{**GOOD["results"][0], "skip": "because"}]}, {"targets": {"service": "shop"}}, {"targets": []},
    {"results": [{**GOOD["results"][0], "judgements": [{"what": "x", "value": {}, "outcome": "passed"}]}]},
]  # fmt: skip
BAD = [
    "", "x", "[]", "null", "3", '"x"', "{}", b"\xff\xfe", "[" * 100_000, '{"schema": "prodcheck-run/2"}', "{" * 100_000,
    '{"schema": "prodcheck-report/1"}', '{"schema": "prodcheck-report/1", "run": 3}', "9" * 5000,
    '{"schema": "prodcheck-run/1", "schema": "prodcheck-run/1"}', dump_run(RUN)[:-40], '{"schema": ["\\n"]}',
    *(json.dumps({**GOOD, **change}) for change in _CHANGES),
    json.dumps({key: value for key, value in GOOD.items() if key != "environment"}),
    dump_run(RUN).replace(f'"waited": {RUN.waited}', '"waited": 1e999'),
    dump_run(RUN).replace('"project": "shop"', '"project": "shop", "project": "other"'),
]  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_anything_else_is_one_clear_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a run record: ") as caught:
        read_run(text)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert type(caught.value) is ValueError


def test_errors_say_where() -> None:
    odd = json.dumps({**GOOD, "results": [GOOD["results"][0], {**GOOD["results"][1], "severity": "grave"}]})
    where = r"run\.results\[1\]\.severity: expected one of critical, high, medium, low, not 'grave'"
    with pytest.raises(ValueError, match=where):
        read_run(odd)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_an_error_or_another_record(data: st.DataObject) -> None:
    text = dump_run(RUN)
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:place] + data.draw(st.characters(codec="utf-8")) + text[place + 1 :]
    try:
        found: object = read_run(damaged)
    except ValueError as error:
        found = str(error)
    assert isinstance(found, RunRecord) or str(found).startswith("not a run record: ")
