"""What requests carry of answers before them: `{name}` in requests, JSON pointers into answers (RFC 6901)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

VARIABLE = re.compile(r"\{([A-Za-z0-9][A-Za-z0-9._-]*)\}")
LONGEST = 2000  # characters of a value that is taken along


def at_pointer(document: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901); raises LookupError where there is none."""
    value = document
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            if not part.isdecimal() or len(part) > 9 or int(part) >= len(value):
                raise LookupError(pointer)
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            raise LookupError(pointer)
    return value


def captured(document: Any, wanted: Mapping[str, str]) -> dict[str, str | int]:
    """The texts and whole numbers at the pointers that lead to some. wanted: name -> pointer."""
    found: dict[str, str | int] = {}
    for name, pointer in wanted.items():
        try:
            value = at_pointer(document, pointer)
        except LookupError:
            continue
        if isinstance(value, (str, int)) and not isinstance(value, bool) and 0 < len(str(value)) <= LONGEST:
            found[name] = value
    return found
