"""A person's approval of one plan: a sealed file, bound to the plan's digest and revision, that expires."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.deploy.plan import PlanProblem
from pytest_prodcheck.gates import seal
from pytest_prodcheck.gates.files import make_folder, replace_file
from pytest_prodcheck.gates.verdict_files import number_of
from pytest_prodcheck.trusted_files import read_regular

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.plan import Plan

SCHEMA = "prodcheck-approval/1"
_MAX_BYTES = 65536  # bytes
_CLOCK_SKEW = 5.0  # seconds that two clocks may differ


@dataclass(frozen=True)
class Approval:
    """by: who; seal: what tells it from every other one; made_at, expires_at: UTC epoch seconds."""

    by: str
    seal: str
    made_at: float
    expires_at: float


def write(path: Path, plan: Plan, key: bytes, *, by: str, now: float, seconds: float) -> None:
    """Seals the approval of a plan; raises OSError."""
    document: dict[str, object] = {
        "schema": SCHEMA, "environment": plan.environment, "unit": plan.unit, "revision": plan.revision,
        "plan": plan.digest, "by": by, "made_at": now, "expires_at": now + seconds,
    }  # fmt: skip
    make_folder(path.parent)
    replace_file(path, seal.canonical(seal.sign(document, key)) + b"\n")


def read(path: Path, plan: Plan, key: bytes | None, now: float) -> Approval | None:
    """The approval of this plan, None where there is none yet.

    Raises PlanProblem (4) for one that is of something else, was changed, or is over.
    """
    try:
        document: Any = json.loads(read_regular(str(path), _MAX_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise PlanProblem(f"the approval {path} cannot be read: {error}") from None
    if not isinstance(document, dict) or key is None or not seal.holds(document, key):
        raise PlanProblem(
            f"the approval {path} has been modified, or is sealed with another key: approve the plan again"
        )
    expected = {"schema": SCHEMA, "environment": plan.environment, "unit": plan.unit, "revision": plan.revision}
    for name, value in {**expected, "plan": plan.digest}.items():
        if document.get(name) != value:
            found = str(document.get(name))[:60]
            raise PlanProblem(f"the approval {path} is for another {name} ({found}): approve this plan")
    made_at, expires_at = number_of(document.get("made_at")), number_of(document.get("expires_at"))
    if made_at is None or expires_at is None or not made_at - _CLOCK_SKEW <= now < expires_at:
        raise PlanProblem(f"the approval {path} has expired, or was made in the future: approve the plan again")
    return Approval(str(document.get("by"))[:200], str(document.get(seal.SEAL)), made_at, expires_at)
