from __future__ import annotations

from typing import Any

import pytest

from pytest_prodcheck import check
from pytest_prodcheck.judging.checks import definition_of


def test_the_first_segment_is_the_suite_and_the_marker() -> None:
    @check("smoke.shop.cart", severity="high")
    def test_cart() -> None:
        """The cart works.

        At length.
        """

    definition = definition_of(test_cart)
    assert definition is not None
    assert (definition.suite, definition.title) == ("smoke", "The cart works.")
    assert [mark.name for mark in test_cart.pytestmark] == ["smoke"]  # type: ignore[attr-defined]


def test_an_id_for_each_target() -> None:
    @check("smoke.workflow.*", severity="high")
    def test_workflow() -> None: ...

    definition = definition_of(test_workflow)
    assert definition is not None
    assert definition.id_for("order") == "smoke.workflow.order"
    assert definition.id_for("-") == "smoke.workflow"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"id": "smoke", "severity": "high"}, "dotted"),
        ({"id": "smoke.Cart", "severity": "high"}, "dotted"),
        ({"id": "smoke.x\n", "severity": "high"}, "dotted"),
        ({"id": "shop.cart", "severity": "high"}, "no suite"),
        ({"id": "shop.cart", "severity": "high", "suite": "smok"}, "no suite"),
        ({"id": "smoke.cart", "severity": "bad"}, "severity"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(**arguments)
