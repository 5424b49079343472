"""What a database held at one position in WAL, as a file that a backup job writes and a restore is compared with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from pytest_prodcheck.evidence.content_sql import Form
from pytest_prodcheck.evidence.records import EvidenceProblem, Problem

FORMAT = "prodcheck-content/1"
LARGEST = 64 * 1024 * 1024  # bytes of a record: half a million tables
Sum = Annotated[str, Field(pattern=r"^-?[0-9]{1,40}$")]


@dataclass(frozen=True)
class Held:
    """What one table held. content: the sum of its rows' hashes. form: in which the rows were hashed.

    parts: the sums of its parts, in order, of so many `pages` each, the last up to the table's end; () where none were
    taken.
    """

    rows: Annotated[int, Field(ge=0)]
    content: Sum
    form: Form = "text"
    pages: Annotated[int, Field(ge=0, lt=2**32)] = 0
    parts: tuple[Sum, ...] = ()

    def document(self) -> dict[str, Any]:
        """What the file holds of it."""
        return {name: value for name, value in asdict(self).items() if self.parts or name not in ("pages", "parts")}


@dataclass(frozen=True)
class ContentRecord:
    """One record. lsn: WAL replayed up to there, and no further, shows this content. tables: quoted name -> content.

    complete: the database had no other tables. archived: WAL up to there was handed to the archive at once; not in the
    file.
    """

    system_identifier: str
    database: str
    taken_at: Annotated[float, Field(allow_inf_nan=False)]
    lsn: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$")]
    tables: dict[str, Held]
    complete: bool = False
    archived: bool = True

    def text(self) -> str:
        """The file's text."""
        tables = {name: each.document() for name, each in sorted(self.tables.items())}
        document = {
            "format": FORMAT, "system_identifier": self.system_identifier, "database": self.database,
            "taken_at": self.taken_at, "lsn": self.lsn, "complete": self.complete, "tables": tables,
        }  # fmt: skip
        return json.dumps(document, indent=1) + "\n"


def read(path: Path) -> ContentRecord:
    """A record from its file; raises EvidenceProblem where it is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("it is too large")
        text = path.read_text(encoding="utf-8")
        plain = json.loads(text)
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise ValueError(f"it is not of the form {FORMAT}")
        found = TypeAdapter(ContentRecord).validate_json(text, strict=True)
        for name, held in found.tables.items():
            if held.parts and (not held.pages or sum(int(each) for each in held.parts) != int(held.content)):
                raise ValueError(f"the parts of {name} do not add up to it")
    except OSError as error:
        hint = "`prodcheck record-backup` writes it when the backup is done"
        raise EvidenceProblem(Problem("configuration", f"{path}: {error.strerror}", hint)) from None
    except (ValueError, RecursionError) as error:
        said = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            said = f"{'.'.join(str(each) for each in first['loc'])}: {first['msg']}"
        hint = "let `prodcheck record-backup` write it again, with a new backup"
        raise EvidenceProblem(Problem("protocol", f"{path}: is no record of content ({said})", hint)) from None
    if not found.tables:
        raise EvidenceProblem(Problem("protocol", f"{path}: it records no table", "which database was recorded?"))
    return found
