"""What broke first: where a service cannot be reached, or a role cannot log in, all that could not be asked follows."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_prodcheck.outcomes import Outcome, Result

Identity = tuple[str, str]  # (check, target)
ADDRESSES = "smoke.service.addresses"  # the bundled check that fails where a service cannot be reached
LOGIN = "smoke.auth.login"  # that which fails where a role cannot log in
_SEVERITIES = ("critical", "high", "medium", "low")


# what others stand on comes first; what is in no row stands on all of them
_LAYERS = (
    "dns", "tcp", "kubernetes", "postgres.connects", "postgres", "redis.responds", "redis", "memcached",
    "service.addresses", "service.health", "service.version", "service", "auth.login", "auth", "api",
)  # fmt: skip


def layer(check: str) -> int:
    """How much a check's target stands on others: among failures of one severity the lowest is likely the cause."""
    suite, _, rest = check.partition(".")
    found = (place for place, each in enumerate(_LAYERS) if f"{rest}.".startswith(f"{each}."))
    return next(found, len(_LAYERS)) if suite == "smoke" else len(_LAYERS)


def root_causes(results: Iterable[Result]) -> dict[Identity, Identity]:
    """The result that says why, of each that could not tell because a service was out of reach or a role not let in.

    That is the failed check of its addresses or of its login; without one, the gravest of those that met the same.
    """
    results = list(results)
    bad = [each for each in results if each.outcome == Outcome.FAILED]
    failed = {each.target: each for each in bad if each.check == ADDRESSES}
    gone = {service for service, each in failed.items() if _nothing_answers(each)}
    failed |= {f"role {each.target}": each for each in bad if each.check == LOGIN}
    met: dict[str, list[Result]] = {}
    for each in results:
        if each.outcome == Outcome.ERRORED and (service := each.unreached or _unreachable_service(each, gone)):
            met.setdefault(service, []).append(each)
    found: dict[Identity, Identity] = {}
    for service, members in met.items():
        root = failed.get(service) or min(members, key=_sort_key)
        found |= {each.identity: root.identity for each in members if each.identity != root.identity}
    return found


def _nothing_answers(result: Result) -> bool:
    return not any(each.outcome in (Outcome.PASSED, Outcome.WARNED) for each in result.judgements if each.of)


def _unreachable_service(result: Result, gone: set[str]) -> str:
    """The service of a result that looked at several things and got nothing of some."""
    if not any(each.outcome == Outcome.ERRORED for each in result.judgements):
        return ""
    return next((each for each in gone if result.target == each or result.target.startswith(f"{each}.")), "")


def _sort_key(result: Result) -> tuple[int, str, str]:
    severity = str(result.severity)
    return (_SEVERITIES.index(severity) if severity in _SEVERITIES else 0, result.check, result.target)
