"""What belongs to one release of the demo, written at its start: change record, calendar of freezes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

FOLDER = "release"
RECORD, FREEZES = f"{FOLDER}/change.json", f"{FOLDER}/freeze.toml"
DAY = 86400.0

CONFIGURATION = f"""
[environments.demo.approval]
kind   = "file"
record = "{RECORD}"
freeze = "{FREEZES}"
"""


def moment(days: float) -> str:
    """A time so many days from now (negative: before), as RFC 3339 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + days * DAY))


def record(revision: str, **changed: Any) -> dict[str, Any]:
    """The change record; None takes a key away."""
    whole = {
        "format": "prodcheck-approval/1", "environment": "demo", "unit": "shop", "revision": revision, "author": "ada",
        "approvals": [{"by": "grace", "at": moment(-0.1)}], "ticket": "CHG-1",
        "window": {"start": moment(-0.05), "end": moment(90)}, **changed,
    }  # fmt: skip
    return {key: value for key, value in whole.items() if value is not None}


def freeze(begin: str, end: str, **more: Any) -> str:
    """A calendar with one freeze; `begin` and `end` as TOML has them."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in more.items()]
    return "\n".join(['zone = "UTC"', "[freeze.sales]", f"from = {begin}", f"to = {end}", *lines, ""])


def healthy(revision: str) -> dict[str, Any]:
    """File name -> its content."""
    return {RECORD: record(revision), FREEZES: freeze(moment(200), moment(214), reason="the sales")}


def put(folder: Path, name: str, content: Any) -> None:
    """Writes one file; None removes it."""
    if content is None:
        (folder / name).unlink(missing_ok=True)
        return
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    (folder / name).write_text(text, encoding="utf-8")


def write(folder: Path, revision: str) -> None:
    """Writes all files of a healthy release."""
    (folder / FOLDER).mkdir(exist_ok=True)
    for name, content in healthy(revision).items():
        put(folder, name, content)
