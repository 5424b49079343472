"""Who gets in where: the judgements of `security.authorization.roles` as a table of roles and endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pytest_prodcheck.outcomes import Judgement, Outcome, Result, RunRecord
from pytest_prodcheck.reports.escaping import safe, safe_html
from pytest_prodcheck.reports.measurement_text import rank
from pytest_prodcheck.reports.symbols import outcome_color, outcome_symbol
from pytest_prodcheck.reports.text_layout import Style, columns

CHECK = "security.authorization.roles"
OUT, IN = "refusal", "gets in"  # what its judgements of a role are called
OTHERS = "other methods"
TITLE = "ACCESS BY ROLE"
LEGEND = "in: access was given; out: access was refused; -: not requested. Entries without a mark are as declared."
_MOST_ROWS = 200


@dataclass(frozen=True)
class Cell:
    """One role at one endpoint. outcome: of its judgement. way: "in" or "out", what was declared where it is marked."""

    outcome: Outcome
    way: str
    status: int | None = None
    reason: str = ""

    def text(self, style: Style) -> str:
        """Such as "out 403", "❌ in 200", "❓"."""
        mark = "" if self.outcome is Outcome.PASSED else f"{outcome_symbol(self.outcome, unicode=style.unicode)} "
        if self.outcome is Outcome.ERRORED:
            return mark.strip()
        return f"{mark}{self.way}" + ("" if self.status is None else f" {self.status}")


@dataclass(frozen=True)
class Row:
    """One endpoint. note: why nothing was asked there, "" where it was."""

    target: str
    outcome: Outcome
    cells: dict[str, Cell] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Matrix:
    """The whole table; `roles` are its columns, the last one what other methods were tried for."""

    roles: tuple[str, ...]
    rows: tuple[Row, ...]


def matrix(run: RunRecord) -> Matrix | None:
    """The table of a run, None where no endpoint was judged for roles."""
    rows = [_row(result) for result in run.results if result.check == CHECK and result.target != "-"]
    if not any(row.cells for row in rows):
        return None
    named = list(dict.fromkeys(role for row in rows for role in row.cells if role != OTHERS))
    roles = [*named, OTHERS] if any(OTHERS in row.cells for row in rows) else named
    return Matrix(tuple(roles), tuple(sorted(rows, key=lambda row: (rank(row.outcome), row.target))))


def _row(result: Result) -> Row:
    cells: dict[str, Cell] = {}
    for judgement in result.judgements:
        if judgement.what not in (OUT, IN):
            continue
        role = judgement.of if " " not in judgement.of else OTHERS  # a role's name has no blank
        cell = _cell(judgement, role == OTHERS)
        if role not in cells or rank(cell.outcome) < rank(cells[role].outcome):
            cells[role] = cell
    told = f"skipped: {result.skip}" if result.skip else (result.reason.splitlines() or ["nothing was asked"])[0]
    return Row(result.target, result.outcome, cells, "" if cells else told)


def _cell(judgement: Judgement, other: bool) -> Cell:
    status = int(judgement.value) if isinstance(judgement.value, (int, float)) else None
    got_in = status is not None and status < 300
    way = "in" if got_in or (status is None and judgement.what == IN) else "out"
    good = judgement.outcome is Outcome.PASSED
    return Cell(judgement.outcome, way, None if other and good else status, judgement.reason)


def matrix_lines(run: RunRecord, style: Style, most: int = _MOST_ROWS) -> list[str]:
    """The table for a terminal or a text report, [] where there is none."""
    table = matrix(run)
    if table is None:
        return []
    shown = table.rows[:most]
    rows = [["", *map(safe, table.roles)], *(_texts(row, table.roles, style) for row in shown if not row.note)]
    lines = [TITLE, *columns(rows, indent="  ", width=max(style.width, 100), unicode=style.unicode)]
    lines += [f"  {safe(row.target)}: {safe(row.note)}" for row in shown if row.note]
    if len(table.rows) > most:
        lines.append(f"  and {len(table.rows) - most} more (listed in the report)")
    return [*lines, f"  {LEGEND}"]


def _texts(row: Row, roles: Iterable[str], style: Style) -> list[str]:
    return [safe(row.target), *(row.cells[role].text(style) if role in row.cells else "-" for role in roles)]


def matrix_html(run: RunRecord) -> str:
    """The table as HTML, "" where there is none."""
    table = matrix(run)
    if table is None:
        return ""
    style = Style()
    heads = "".join(f"<th>{safe_html(role)}</th>" for role in ("endpoint", *table.roles))
    rows = "".join(_html_row(row, table.roles, style) for row in table.rows[:_MOST_ROWS])
    left = len(table.rows) - _MOST_ROWS
    more = f"<p>and {left} more (all are in the JSON report)</p>" if left > 0 else ""
    return (
        f'<details class="pc-matrix" open><summary>Access by role ({len(table.rows)} endpoints)</summary>'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{more}"
        f'<p class="pc-dim">{LEGEND}</p></details>'
    )


def _html_row(row: Row, roles: tuple[str, ...], style: Style) -> str:
    if row.note:
        return f'<tr><th>{safe_html(row.target)}</th><td colspan="{len(roles)}">{safe_html(row.note)}</td></tr>'
    cells = (_html_cell(row.cells.get(role), style) for role in roles)
    return f"<tr><th>{safe_html(row.target)}</th>{''.join(cells)}</tr>"


def _html_cell(cell: Cell | None, style: Style) -> str:
    if cell is None:
        return '<td class="pc-dim">-</td>'
    return (
        f'<td class="pc-{outcome_color(cell.outcome)}" data-outcome="{cell.outcome}" title="{safe_html(cell.reason)}">'
        f"{safe_html(cell.text(style))}</td>"
    )


def matrix_document(run: RunRecord) -> dict[str, Any] | None:
    """The table as plain JSON data, None where there is none."""
    table = matrix(run)
    if table is None:
        return None
    rows = [
        {
            "target": row.target,
            "outcome": str(row.outcome),
            "note": row.note,
            "cells": {role: {**vars(cell), "outcome": str(cell.outcome)} for role, cell in row.cells.items()},
        }
        for row in table.rows
    ]
    return {"check": CHECK, "columns": list(table.roles), "rows": rows}
