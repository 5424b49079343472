"""Whether the text of an answer is as its JSON Schema says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_prodcheck import json_schemas
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.records import Contract


def schema_of(contract: Contract, status: int, media_type: str) -> Any:
    """The schema of an answer: the closest of its status, then of its media type; raises EvidenceProblem for none."""
    statuses, media_types = (str(status), f"{status // 100}XX", "default"), (media_type, "application/*", "*/*")
    for wanted in statuses:
        found = {each.media_type: each.schema for each in contract.answers if each.status == wanted}
        if found:  # of several media types the first stands for one that is not described
            return next((found[each] for each in media_types if each in found), next(iter(found.values())))
    raise EvidenceProblem(Problem("protocol", f"{contract.source}: has no JSON schema for answers with {status}"))


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
