"""What follows from something that broke first, in a few lines beneath it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_prodcheck.outcomes import NO_TARGET
from pytest_prodcheck.reports.escaping import safe
from pytest_prodcheck.reports.text_layout import Style, fold
from pytest_prodcheck.reports.verdict_documents import View

_FEW_CHECKS, _FEW_TARGETS = 6, 3


def follow_lines(followers: Iterable[tuple[str, str]], style: Style, *, indent: str = "      ") -> list[str]:
    """"17 more could not be asked because of this: smoke.api.endpoint on shop.a, shop.b and 13 more; …"."""
    by_check: dict[str, list[str]] = {}
    for check, target in sorted(set(followers)):
        by_check.setdefault(check, []).append(target)
    count = sum(map(len, by_check.values()))
    if not count:
        return []
    checks = [_targets_text(check, targets, style) for check, targets in by_check.items()]
    if not style.explain and len(checks) > _FEW_CHECKS:
        checks[_FEW_CHECKS:] = [f"and {len(checks) - _FEW_CHECKS} more checks"]
    told = f"{count} more could not be checked because of this: {'; '.join(checks)}"
    return fold(told, first=f"{indent}", rest=f"{indent}  ", width=style.width)


def _targets_text(check: str, targets: Sequence[str], style: Style) -> str:
    names = [safe(each) for each in targets if each != NO_TARGET]
    if not style.explain and len(names) > _FEW_TARGETS + 1:
        names[_FEW_TARGETS:] = [f"and {len(names) - _FEW_TARGETS} more"]
    return f"{safe(check)} on {', '.join(names)}" if names else safe(check)


def split_followers(findings: Sequence[View]) -> tuple[list[View], dict[str, list[tuple[str, str]]]]:
    """The findings of a verdict that are told by themselves, and (check, target) of the others by "check@target"."""
    here = {f"{each.raw('check')}@{each.raw('target')}" for each in findings if not each.raw("because")}
    own: list[View] = []
    followers: dict[str, list[tuple[str, str]]] = {}
    for each in findings:
        if (root := each.raw("because")) in here:
            followers.setdefault(root, []).append((each.raw("check"), each.raw("target")))
        else:
            own.append(each)
    return own, followers
