from __future__ import annotations

import json

import pytest

from pytest_prodcheck.outcomes import Judgement, Outcome, Result, SkipReason
from pytest_prodcheck.plugin import result_transport

RESULT = Result(
    "t.smoke.one", "a", Outcome.WARNED, judgements=(Judgement("x", 1.5, Outcome.WARNED, "s"),), evidence=("k:a",),
    skip=SkipReason.OPT_IN, notes=("n",),
)  # fmt: skip


def test_what_is_parsed_is_what_was_dumped_with_and_without_the_short_cut() -> None:
    text = result_transport.dump(RESULT)
    assert result_transport.parse(text) == RESULT
    result_transport.dump(Result("other", "b", Outcome.PASSED))
    assert result_transport.parse(text) == RESULT


def test_a_text_that_was_changed_is_read_as_it_stands() -> None:
    changed = json.dumps({**json.loads(result_transport.dump(RESULT)), "outcome": "failed"})
    assert result_transport.find([(result_transport.KEY, changed)]).outcome is Outcome.FAILED  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"judgements": 1}'])
def test_anything_else_is_no_result(text: str) -> None:
    result_transport.dump(RESULT)
    assert result_transport.find([(result_transport.KEY, text)]) is None
