"""The rows that a load's requests differ by: CSV, JSON lines, or numbers of a range."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.load import Vary

LARGEST = 16 * 1024 * 1024  # bytes of a file
MOST = 100_000  # rows
Row = dict[str, Any]


def feed_of(vary: Vary, root: Path) -> dict[str, Any]:
    """Rows, ranges and order, as the senders read them; raises EvidenceProblem (configuration)."""
    rows = [] if vary.file is None else rows_of(root / vary.file, vary.file)
    return {"rows": rows, "numbers": {name: list(each) for name, each in vary.numbers.items()}, "order": vary.order}


def reused_rows(plan: Mapping[str, Any], arrived: int) -> Iterator[str]:
    """The flows of a plan whose users were more than the rows that they differ by, in words."""
    arrivals = plan["arrivals"]
    for name in sorted(plan.get("flows", {}).keys() & plan.get("feeds", {}).keys()):
        rows, users = len(plan["feeds"][name]["rows"]), round(arrived * arrivals[name] / sum(arrivals.values()))
        if 0 < rows < users:
            yield (
                f"{users} users of {name} shared {rows} rows: actions that a row allows only once fail the second time"
            )


def columns(feed: dict[str, Any]) -> set[str]:
    """The names that every row has."""
    rows = feed["rows"]
    return set(feed["numbers"]) | (set.intersection(*(set(row) for row in rows)) if rows else set())


def rows_of(file: Path, name: str) -> list[Row]:
    """The rows of a file; raises EvidenceProblem (configuration) that names the line, and none of its values."""
    try:
        raw = file.read_bytes()[: LARGEST + 1]
        if len(raw) > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        text = raw.decode("utf-8-sig")
        rows = _json_lines(text) if file.suffix in (".jsonl", ".ndjson") else _csv(text)
        if not rows:
            raise ValueError("no rows")
        if len(rows) > MOST:
            raise ValueError(f"more than {MOST} rows")
    except (OSError, ValueError, csv.Error) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeError) else getattr(error, "strerror", None) or str(error)
        raise EvidenceProblem(Problem("configuration", f"{name} cannot be read: {reason}")) from None
    return rows


def _csv(text: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names = [name.strip() for name in next(reader, [])]
    if not all(names) or len(set(names)) < len(names):
        raise ValueError("line 1: expected the names of the columns, each once")
    rows = []
    for row in reader:
        if row and len(row) != len(names):
            raise ValueError(f"line {reader.line_num}: {len(row)} values for {len(names)} columns")
        if row:
            rows.append(dict(zip(names, row, strict=True)))
    return rows


def _json_lines(text: str) -> list[Row]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError(f"line {number}: not JSON") from None
        if not isinstance(row, dict) or not all(isinstance(each, (str, int, float)) for each in row.values()):
            raise ValueError(f"line {number}: expected an object of texts and numbers")
        rows.append(row)
    return rows
