"""May this verdict open this gate now? The fast path of `prodcheck gate`: plain data, few imports.

Every check runs, so that a person sees all that is wrong; the gravest code wins.
"""

from __future__ import annotations

from pytest_prodcheck import __version__
from pytest_prodcheck.gates import bound_files, paths, revisions, seal
from pytest_prodcheck.gates.verdict_files import CANNOT_TELL, Document, Reasons, VerdictQuery, age, number_of

SCHEMA = "prodcheck-verdict/1"
STATUS = {0: "open", 1: "blocked", 2: "usage-error", 3: "cannot-tell", 4: "refused"}
USAGE, REFUSED = 2, 4
SLACK = 5.0  # seconds that two clocks may differ
_TEXTS = ("gate", "environment", "unit", "slot", "revision", "run", "project")
_LISTS = ("reasons", "warnings", "notes", "waived", "limits_off", "unverified", "needs", "overrides")


def worst(codes: list[int]) -> int:
    """The code that wins: 2 > 4 > 1 > 3 > 0; an unknown one counts as 2."""
    for code in (USAGE, REFUSED, 1, CANNOT_TELL):
        if code in codes:
            return code
    return 0 if codes and all(code == 0 for code in codes) else (USAGE if codes else CANNOT_TELL)


def admit(
    document: Document,
    key: bytes | None,
    ask: VerdictQuery,
    now: float,
    root: str | None,
    since_boot: tuple[str, float] = ("", 0.0),
) -> tuple[int, Reasons]:
    """The exit code for a verdict document and every reason but its own; root is the folder of prodcheck.toml.

    since_boot: of this machine; where it is the one that published, a clock that was set back makes nothing younger.
    """
    untrusted = why_untrusted(document, key)
    if untrusted:
        return REFUSED, [(REFUSED, untrusted)]
    reasons = [
        *common_reasons(document, ask, now, root),
        *_ages(document, ask, now_by_verdict_clock(document, now, since_boot)),
    ]
    code = document["code"]
    if ask.strict and code == 0 and document["warnings"]:
        reasons.append((1, "there are warnings, and --strict blocks on them"))
    return worst([int(str(code)), *(each for each, _ in reasons)]), reasons


def common_reasons(document: Document, ask: VerdictQuery, now: float, root: str | None) -> Reasons:
    """What everybody who relies on a verdict asks (gate, exec, run, needs): the same thing, from the same files."""
    files = document["configuration"]
    assert isinstance(files, dict)
    reasons = [*_binding(document, ask), *_other_version(document), *_future(document, now)]
    try:
        why = bound_files.why_not(root, str(document["environment"]), files)
        return [*reasons, *((REFUSED, each) for each in why)]
    except OSError as error:
        text = f"{error.filename or 'a file'} cannot be compared with the verdict: {error.strerror}"
        return [*reasons, (CANNOT_TELL, text)]


def now_by_verdict_clock(document: Document, now: float, since_boot: tuple[str, float]) -> float:
    """The present second by the clock that the verdict was made by, where that was set back since."""
    made, (boot, uptime) = number_of(document["evaluated_at"]), since_boot
    if boot and boot == document.get("boot") and made is not None:
        return max(now, made + uptime - (number_of(document.get("uptime")) or 0.0))
    return now


def why_untrusted(document: Document, key: bytes | None) -> str:
    """Why nothing that a document says may be believed; "" for one that we made."""
    if document.get("schema") != SCHEMA:
        return f"the verdict has the schema {str(document.get('schema'))[:60]!r}; this version reads {SCHEMA}"
    if key is None:
        return "the seal cannot be verified without a key: set PRODCHECK_KEY to the key of the run"
    if not seal.holds(document, key):
        return "the seal is not valid: the verdict was changed, or sealed with another key"
    wrong = "the verdict has a valid seal but not the expected structure: did another version make it?"
    return "" if _well_formed(document) else wrong


def _binding(document: Document, ask: VerdictQuery) -> Reasons:
    reasons: Reasons = []
    for name in ("gate", "environment", "unit", "slot"):
        wanted, found = getattr(ask, name), document[name]
        if wanted != found:
            told = f"the verdict is about {name} {found or '-'}, but you asked about {wanted or '-'}"
            reasons.append((REFUSED, told))
    if document["protected"] and not ask.revision:
        text = f"{ask.environment} is protected: name the revision with --revision or PRODCHECK_REVISION"
        reasons.append((USAGE, text))
    elif why := revisions.differs(document["revision"], ask.revision):
        reasons.append((REFUSED, f"the verdict {why}"))
    if ask.run and ask.run != document["run"]:
        reasons.append((CANNOT_TELL, f"the verdict is from run {document['run']}, not from the new run {ask.run}"))
    return reasons


def _other_version(document: Document) -> Reasons:
    """The bundled checks decided, too: other ones may have judged."""
    made_by = document.get("version")
    if not made_by or made_by == __version__:
        return []
    text = f"the verdict was made by prodcheck {made_by}, but this is prodcheck {__version__}: run the checks again"
    return [(REFUSED, text)]


def _future(document: Document, now: float) -> Reasons:
    made, oldest = number_of(document["evaluated_at"]), number_of(document["oldest_evidence"])
    if made is None or not (made <= now + SLACK and (made if oldest is None else oldest) <= now + SLACK):
        return [(REFUSED, "the verdict or its evidence is dated in the future: a clock is wrong or was set back")]
    return []


def _ages(document: Document, ask: VerdictQuery, now: float) -> Reasons:
    made, ends, limit, oldest = (
        number_of(document[name]) for name in ("evaluated_at", "expires_at", "max_age", "oldest_evidence")
    )
    if made is None or ends is None or limit is None:
        return [(REFUSED, "the verdict does not say how long it is valid")]
    if ask.max_age is not None and ask.max_age < limit:
        limit = ask.max_age
    reasons: Reasons = []
    start = made if oldest is None else oldest
    if not now - start <= limit:
        told = f"the verdict is stale: its oldest evidence is {age(now - start)} old, and the limit is {age(limit)}"
        reasons.append((REFUSED, told))
    elif not now < ends:
        reasons.append((REFUSED, f"the verdict expired {age(now - ends)} ago"))
    if oldest is None and document["code"] == 0 and not document["observation"]:
        reasons.append((REFUSED, "the verdict is open but names no evidence"))
    return reasons


def _names_gate(need: object) -> bool:
    return isinstance(need, dict) and paths.is_name(need.get("environment")) and paths.is_name(need.get("gate"))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _well_formed(document: Document) -> bool:
    """Whether everything that is read here has its type."""
    code, files = document.get("code"), document.get("configuration")
    return (
        type(code) is int
        and STATUS.get(code) is not None
        and (document.get("status") == STATUS[code])
        and all(isinstance(document.get(name), str) for name in _TEXTS)
        and all(isinstance(document.get(name), list) for name in _LISTS)
        and all(map(_names_gate, _list(document["needs"])))
        and isinstance(document.get("protected"), bool)
        and isinstance(document.get("observation", 0), dict | None)
        and isinstance(document.get("skips"), dict)
        and isinstance(document.get("counts"), dict)
        and type(document.get("ticket")) is int
        and "oldest_evidence" in document
        and all(number_of(document.get(name)) is not None for name in ("evaluated_at", "expires_at", "max_age"))
        and isinstance(files, dict)
        and all(isinstance(each, str) for each in files.values())
    )
