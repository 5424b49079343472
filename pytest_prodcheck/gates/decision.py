"""The whole question `prodcheck gate` asks: find the files and the key, read, admit, honour overrides. Light."""

from __future__ import annotations

import os

from pytest_prodcheck.gates import admission, paths, revisions, seal
from pytest_prodcheck.gates.boot_clock import since_boot
from pytest_prodcheck.gates.verdict_files import CANNOT_TELL, Document, Reasons, VerdictQuery, age, number_of, read
from pytest_prodcheck.trusted_files import refuse_foreign

BLOCKED = 1
OVERRIDABLE = (BLOCKED, 3, 4)


class Decision:
    """The answer: exit code, why it is not open, what else to say, the document if it can be trusted, overrides."""

    def __init__(self, code: int, reasons: Reasons, document: Document | None = None) -> None:
        self.code, self.reasons, self.document = code, reasons, document
        self.closed = code  # what it would be without an override
        self.says: list[str] = []
        self.overrides: list[str] = []


def decide(ask: VerdictQuery, now: float, start: str) -> Decision:
    """Answers for a working folder `start`; never raises for what lies in files."""
    root = paths.find_root(start)
    state = os.path.join(root or os.path.abspath(start), paths.STATE)
    try:
        if root is not None:
            refuse_foreign(os.path.join(root, paths.CONFIGURATION), "the configuration")
        refuse_foreign(state, "the folder")
        ask.revision = revisions.resolve(ask.given, ask.environment, root)
        key = seal.find_key(state, root)
        document, reasons = read(ask, state, key)
    except (ValueError, OSError, MemoryError) as error:
        from pytest_prodcheck import resource_exhaustion  # where even that cannot be opened, `main` says 3

        code = CANNOT_TELL if resource_exhaustion.shortage_of(error) else admission.USAGE
        return Decision(code, [(code, str(error) or "out of memory")])
    code = admission.worst([each for each, _ in reasons])
    trusted = None if document is None or admission.why_untrusted(document, key) else document
    if document is not None:
        admitted, more = admission.admit(document, key, ask, now, root, since_boot())
        reasons = [*reasons, *more, *(_blocked_needs(trusted, ask, state, key, now, root) if trusted else ())]
        code = admission.worst([admitted, *(each for each, _ in reasons)])
    decision = Decision(code, reasons, trusted)
    _tell_max_age(decision, ask)
    if code in OVERRIDABLE:
        _override(decision, state, key, ask, now, root)
    return decision


def _blocked_needs(
    document: Document, ask: VerdictQuery, state: str, key: bytes | None, now: float, root: str | None
) -> Reasons:
    """The needed gates that were blocked for the same revision since this verdict was made."""
    needs = document["needs"]
    assert isinstance(needs, list)
    found: Reasons = []
    for each in needs:
        environment, gate = str(each["environment"]), str(each["gate"])
        its = VerdictQuery(gate, environment, unit=ask.unit, revision=ask.revision)
        needed, doubts = read(its, state, key)
        if needed is None or doubts or admission.why_untrusted(needed, key) or needed["code"] != BLOCKED:
            continue  # one that is judged again at this moment says nothing new
        if not admission.common_reasons(needed, its, now, root):
            found.append((BLOCKED, f"needs {environment}:{gate}: it has been blocked since the verdict was made"))
    return found


def _override(
    decision: Decision, state: str, key: bytes | None, ask: VerdictQuery, now: float, root: str | None
) -> None:
    if not os.path.exists(os.path.join(state, "overrides.jsonl")):
        return
    from pytest_prodcheck.gates.overrides import active, override_line

    decision.overrides = [override_line(each) for each in active(state, key, ask, now, root)]
    if decision.overrides:
        decision.code = 0


def _tell_max_age(decision: Decision, ask: VerdictQuery) -> None:
    limit = number_of(decision.document.get("max_age")) if decision.document else None
    if ask.max_age is not None and limit is not None and ask.max_age > limit:
        told = f"{age(limit)} applies, not {age(ask.max_age)}"
        decision.says.append(f"--max-age can only make the limit stricter: {told}")
