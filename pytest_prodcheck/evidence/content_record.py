"""What a database held at one position in WAL, as a file that a backup job writes and a restore is compared with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pytest_prodcheck.evidence.content_sql import FORMS, Form
from pytest_prodcheck.evidence.records import EvidenceProblem, Problem

FORMAT = "prodcheck-content/1"
LARGEST = 64 * 1024 * 1024  # bytes of a record: half a million tables


class Held(NamedTuple):
    """What one table held. content: the sum of its rows' hashes. form: in which the rows were hashed.

    parts: the sums of its parts, in order, of so many `pages` each, the last up to the table's end; () where none were
    taken.
    """

    rows: int
    content: str
    form: Form
    pages: int = 0
    parts: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """What the file holds of it."""
        whole = {"rows": self.rows, "content": self.content, "form": self.form}
        return {**whole, "pages": self.pages, "parts": self.parts} if self.parts else whole


@dataclass(frozen=True)
class ContentRecord:
    """One record. lsn: WAL replayed up to there, and no further, shows this content. tables: quoted name -> content."""

    system_identifier: str
    database: str
    taken_at: float
    lsn: str
    tables: dict[str, Held]

    def text(self) -> str:
        """The file's text."""
        tables = {name: each.document() for name, each in sorted(self.tables.items())}
        document = {
            "format": FORMAT, "system_identifier": self.system_identifier, "database": self.database,
            "taken_at": self.taken_at, "lsn": self.lsn, "tables": tables,
        }  # fmt: skip
        return json.dumps(document, indent=1) + "\n"


def read(path: Path) -> ContentRecord:
    """A record from its file; raises EvidenceProblem where it is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("it is too large")
        plain: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise ValueError(f"it is not of the form {FORMAT}")
        tables = {str(name): _held(each) for name, each in plain["tables"].items()}
        found = ContentRecord(
            str(plain["system_identifier"]), str(plain["database"]), float(plain["taken_at"]), str(plain["lsn"]), tables
        )
    except OSError as error:
        hint = "`prodcheck record-backup` writes it when the backup is done"
        raise EvidenceProblem(Problem("configuration", f"{path}: {error.strerror}", hint)) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        hint = "let `prodcheck record-backup` write it again, with a new backup"
        raise EvidenceProblem(Problem("protocol", f"{path}: is no record of content ({error})", hint)) from None
    if not found.tables:
        raise EvidenceProblem(Problem("protocol", f"{path}: it records no table", "which database was recorded?"))
    return found


def _held(plain: Any) -> Held:
    form = plain.get("form", "text")
    if form not in FORMS:
        raise ValueError(f"rows in the form {form!r} are unknown")
    content, pages = int(plain["content"]), int(plain.get("pages", 0))
    parts = [int(each) for each in plain.get("parts", ())]
    if parts and (pages < 1 or sum(parts) != content):
        raise ValueError("the parts of a table do not add up to it")
    return Held(int(plain["rows"]), str(content), form, pages, tuple(str(each) for each in parts))
