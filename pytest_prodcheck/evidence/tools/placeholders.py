"""`{revision}` and `{unit}` in paths and names, filled in when something is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context


def fill_placeholders(text: str, context: Context, unit: str = "") -> str:
    """The text with `{revision}` and `{unit}` filled in; raises EvidenceProblem where the run names none.

    unit: of what is asked for, where it is declared with it; else the run's.
    """
    for name, value in (("revision", context.revision), ("unit", unit or context.environment.unit)):
        if f"{{{name}}}" in text:
            if not value:
                hint = f"give --{name}"
                raise EvidenceProblem(Problem("configuration", f"{{{name}}} is asked for, but none was named", hint))
            text = text.replace(f"{{{name}}}", value)
    return text
