"""Did you mean …?"""

from __future__ import annotations

from collections.abc import Iterable


def close_matches(wrong: str, known: Iterable[str]) -> str:
    """Ends a message with "; did you mean a or b?", or with nothing where none is close."""
    import difflib

    found = difflib.get_close_matches(wrong, list(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(found)}?" if found else ""
