"""What a database held at one position in WAL, as a file that a backup job writes and a restore is compared with."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_prodcheck.evidence.content.hash_sql import Form
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.trusted_files import read_regular

FORMAT = "prodcheck-content/1"
LARGEST = 64 * 1024 * 1024  # bytes of a record: half a million tables
_SUM = re.compile(r"-?[0-9]{1,40}")
_LSN = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")


@dataclass(frozen=True)
class RecordedTable:
    """What one table held. content: the sum of its rows' hashes. form: in which the rows were hashed.

    parts: the sums of its parts, in order, of so many `pages` each, the last up to the table's end; () where none were
    taken.
    """

    rows: int
    content: str
    form: Form = "text"
    pages: int = 0
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses what no table holds."""
        if self.rows < 0 or not 0 <= self.pages < 2**32:
            raise ValueError("impossible numbers of rows or pages")
        if not all(_SUM.fullmatch(each) for each in (self.content, *self.parts)):
            raise ValueError("a checksum that is not a number")
        if self.parts and (not self.pages or sum(int(each) for each in self.parts) != int(self.content)):
            raise ValueError("its parts do not add up to the total")

    def document(self) -> dict[str, Any]:
        """What the file holds of it."""
        return {name: value for name, value in asdict(self).items() if self.parts or name not in ("pages", "parts")}


@dataclass(frozen=True)
class ContentRecord:
    """One record. lsn: WAL replayed up to there, and no further, shows this content. tables: quoted name -> content.

    complete: the database had no other tables. large_objects: how many there were, None in older records.
    archived: WAL up to there was handed to the archive at once; not in the
    file.
    """

    system_identifier: str
    database: str
    taken_at: float
    lsn: str
    tables: dict[str, RecordedTable]
    complete: bool = False
    large_objects: int | None = None
    archived: bool = True

    def __post_init__(self) -> None:
        """Refuses what is no position and no time."""
        if not math.isfinite(self.taken_at) or not _LSN.fullmatch(self.lsn):
            raise ValueError("taken_at or lsn is missing")

    def text(self) -> str:
        """The file's text."""
        tables = {name: each.document() for name, each in sorted(self.tables.items())}
        document = {
            "format": FORMAT, "system_identifier": self.system_identifier, "database": self.database,
            "taken_at": self.taken_at, "lsn": self.lsn, "complete": self.complete, "large_objects": self.large_objects,
            "tables": tables,
        }  # fmt: skip
        return json.dumps(document, indent=1) + "\n"


def read(path: Path) -> ContentRecord:
    """A record from its file; raises EvidenceProblem where it is none."""
    from pydantic import TypeAdapter, ValidationError

    try:
        text = read_regular(str(path), LARGEST).decode()
        plain = json.loads(text)
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        found = TypeAdapter(ContentRecord).validate_json(text, strict=True)
    except OSError as error:
        hint = "`prodcheck record-backup` writes it; run it when the backup is complete"
        raise EvidenceProblem(Problem("configuration", f"{path}: {error.strerror}", hint)) from None
    except (ValueError, RecursionError) as error:
        said = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            said = f"{'.'.join(str(each) for each in first['loc'])}: {first['msg']}"
        hint = "run `prodcheck record-backup` again, with a new backup"
        raise EvidenceProblem(Problem("protocol", f"{path}: this is not a content record ({said})", hint)) from None
    if not found.tables:
        raise EvidenceProblem(Problem("protocol", f"{path}: it contains no table", "which database was recorded?"))
    return found
