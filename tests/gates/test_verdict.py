"""The verdict as a document: out, in, and nothing else in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_prodcheck.gates import admission
from pytest_prodcheck.gates.verdict import SCHEMA, STATUS, Verdict
from pytest_prodcheck.outcomes import ExitCode, Outcome, worst
from tests.gates.samples import judge, result

DOCUMENT = judge(result(outcome=Outcome.FAILED), result("smoke.dns", "-", Outcome.SKIPPED)).to_document()


def test_there_and_back() -> None:
    again = Verdict.from_document(json.loads(json.dumps(DOCUMENT)))
    assert again.to_document() == DOCUMENT
    assert Verdict.from_document({**DOCUMENT, "seal": "x"}) == again


@pytest.mark.parametrize("name", sorted(DOCUMENT))
def test_every_key_is_needed(name: str) -> None:
    with pytest.raises(ValueError, match="schema" if name == "schema" else name):
        Verdict.from_document({key: value for key, value in DOCUMENT.items() if key != name})


@pytest.mark.parametrize(
    "changes",
    [
        {"more": 1},
        {"code": True},
        {"code": 0},
        {"code": "1"},
        {"status": "open"},
        {"expires_at": "soon"},
        {"expires_at": float("nan")},
        {"oldest_evidence": "x"},
        {"reasons": {}},
        {"reasons": ["x"]},
        {"reasons": [{"text": "x"}]},
        {"skips": {"x": "y"}},
        {"targets": {"x": 1.5}},
        {"observation": {"until": "x"}},
        {"protected": 1},
        {"schema": "prodcheck-verdict/2"},
    ],
)
def test_strict(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"verdict|schema"):
        Verdict.from_document({**DOCUMENT, **changes})


def test_the_light_modules_agree_with_the_others() -> None:
    """`prodcheck gate` cannot import these; so they are written twice."""
    assert (admission.SCHEMA, admission.STATUS) == (SCHEMA, STATUS)
    for first in range(5):
        for second in range(5):
            assert admission.worst([first, second]) == worst([ExitCode(first), ExitCode(second)])
    assert admission.worst([]) == worst([])
    assert admission.worst([0, 7]) == 2
