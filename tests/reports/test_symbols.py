from __future__ import annotations

import io

import pytest

from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.reports.symbols import (
    ACTIONS,
    gate_symbol,
    gate_words,
    outcome_symbol,
    paint,
    takes_color,
    takes_unicode,
)
from pytest_prodcheck.reports.text_layout import cells, clip, columns, fold, pad


def test_the_symbols_of_the_guide() -> None:
    assert [outcome_symbol(each) for each in Outcome] == ["✅", "⚠️", "❌", "⏭️", "❓"]
    assert [outcome_symbol(each, unicode=False) for each in Outcome] == ["PASS", "WARN", "FAIL", "SKIP", "ERR"]
    assert set(ACTIONS) == set(Outcome)


def test_what_is_unknown_is_never_good() -> None:
    assert outcome_symbol("fine") == "❓"
    assert gate_words("fine") == gate_words("") == "CANNOT TELL"
    assert gate_symbol("open", unicode=False) == ""
    assert len({gate_symbol(each) for each in ("open", "blocked", "cannot-tell", "refused", "usage-error")}) == 5


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_only_on_a_terminal_that_wants_it() -> None:
    assert takes_color(_Terminal(), {})
    assert not takes_color(io.StringIO(), {})
    assert not takes_color(_Terminal(), {"NO_COLOR": "1"})
    assert not takes_color(_Terminal(), {"TERM": "dumb"})
    assert paint("x", "red", on=False) == "x"
    assert paint("x", "red", on=True) == "\x1b[31mx\x1b[0m"


@pytest.mark.parametrize(("encoding", "fine"), [("utf-8", True), ("ascii", False), ("cp437", False)])
def test_symbols_only_where_they_can_be_written(encoding: str, fine: bool) -> None:
    assert takes_unicode(io.TextIOWrapper(io.BytesIO(), encoding=encoding)) is fine


def test_wide_characters_count_twice() -> None:
    assert [cells(text) for text in ("ab", "注文", "✅", "⚠️", "é", "e\u0301", "")] == [2, 4, 2, 2, 1, 1, 0]
    assert pad("注", 4) == "注  "
    assert clip("注文注文", 5) == "注文…"
    assert clip("abcdef", 5, unicode=False) == "ab..."


def test_columns_are_aligned_and_fit() -> None:
    lines = columns([("a", "注文", "x" * 80), ("bbb", "y", "z")], width=40)
    assert all(cells(line) <= 40 for line in lines)
    assert cells(lines[0].partition("x")[0]) == cells(lines[1].partition("z")[0])
    assert columns([]) == []


def test_folding_keeps_addresses_whole() -> None:
    address = "https://runbooks.shop.example/" + "x" * 60
    lines = fold(f"how to fix it: see {address} please", first="- ", rest="  ", width=40)
    assert lines == ["- how to fix it: see", f"  {address}", "  please"]
    assert fold("", first="- ") == ["- "]
    assert fold("") == []
