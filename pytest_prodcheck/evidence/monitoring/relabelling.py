"""Relabelling as Prometheus does it, as far as alerts on their way to Alertmanager meet it.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

Labels = dict[str, str]
_PLACE = re.compile(r"\$(?:\{(\w+)\}|(\w+)|\$)")


def relabelled(labels: Mapping[str, str], rules: Iterable[Mapping[str, Any]]) -> Labels | None:
    """The labels after all rules, None where one of them drops what has them; raises ValueError for an odd rule."""
    found: Labels | None = dict(labels)
    for rule in rules:
        if found is None:
            return None
        try:
            found = _relabelled_by(found, rule)
        except (re.error, TypeError, AttributeError, ZeroDivisionError) as error:
            raise ValueError(f"a relabelling rule cannot be used: {error}") from None
    return None if found is None else {name: value for name, value in found.items() if value}


def _relabelled_by(labels: Labels, rule: Mapping[str, Any]) -> Labels | None:
    action = str(rule.get("action", "replace")).lower()
    pattern = re.compile(str(rule.get("regex", "(.*)")), re.DOTALL)
    sources = [labels.get(str(each), "") for each in rule.get("source_labels") or ()]
    joined = str(rule.get("separator", ";")).join(sources)
    target, replacement = str(rule.get("target_label", "")), str(rule.get("replacement", "$1"))
    match = pattern.fullmatch(joined)
    if action in ("keep", "drop"):
        return labels if (match is not None) == (action == "keep") else None
    if action in ("keepequal", "dropequal"):
        return labels if (labels.get(target, "") == joined) == (action == "keepequal") else None
    if action in ("labeldrop", "labelkeep"):
        kept = action == "labelkeep"
        return {name: value for name, value in labels.items() if (pattern.fullmatch(name) is not None) == kept}
    if action == "labelmap":
        mapped = {_filled(replacement, found): value for name, value in labels.items()
                  if (found := pattern.fullmatch(name))}  # fmt: skip
        return {**labels, **mapped}
    if action in ("lowercase", "uppercase"):
        return {**labels, target: joined.lower() if action == "lowercase" else joined.upper()}
    if action == "hashmod":
        number = int.from_bytes(hashlib.md5(joined.encode(), usedforsecurity=False).digest()[8:], "big")
        return {**labels, target: str(number % int(rule.get("modulus", 0)))}
    if action != "replace":
        raise ValueError(f"the relabelling action {action[:40]!r} is not known")
    return labels if match is None else {**labels, _filled(target, match): _filled(replacement, match)}


def _filled(text: str, match: re.Match[str]) -> str:
    """`$1`, `${1}` and `${name}` as Go expands them: what is not there is empty."""

    def group(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name is None:
            return "$"
        try:
            return match[int(name) if name.isdecimal() else name] or ""
        except IndexError:
            return ""

    return _PLACE.sub(group, text)
