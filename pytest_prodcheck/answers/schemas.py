"""Whether the text of an answer is as its JSON Schema says."""

from __future__ import annotations

import json
from typing import Any

from pytest_prodcheck import json_schemas
from pytest_prodcheck.records import EvidenceProblem, Problem


def mismatch(text: str, schema: Any, source: str, *, values: bool = True) -> str:
    """Where it is not, "" where it is; raises EvidenceProblem. values: whether what is there may be told."""
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return f"the answer is not JSON ({error})" if values else "the answer is not JSON"
    try:
        worst = json_schemas.worst_mismatch(schema, document)
    except json_schemas.PatternProblem as error:
        hint = "is this the right schema?"
        raise EvidenceProblem(Problem("too-large", f"{source}: {error}", hint)) from None
    except RecursionError:
        raise EvidenceProblem(Problem("too-large", f"{source} or the body is nested too deeply")) from None
    if worst is None:
        return ""
    return f"{worst.json_path}: {worst.message[:200] if values else f'breaks {worst.validator}'}"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
