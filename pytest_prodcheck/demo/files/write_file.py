"""Writes one file of the demo: a text as it is, other content as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_file(folder: Path, name: str, content: Any) -> None:
    """Writes one file; None removes it."""
    if content is None:
        (folder / name).unlink(missing_ok=True)
        return
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    (folder / name).write_text(text, encoding="utf-8")
