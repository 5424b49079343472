"""Keys of suites that this version does not have yet: told as such, not as unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_prodcheck.environments.toml.error_collector import Mistakes
from pytest_prodcheck.environments.toml.key_lines import KeyPath
from pytest_prodcheck.environments.toml.trees import Tree

# key path below an environment ("*" is any name) -> what brings it
LATER = {
    ("slo",): "the performance suite",
    ("redis", "*", "backups"): "the pre_deploy suite",
}
LATER_TOP = {
    "slo": "the performance suite",
    "deploy": "deployments",
    "monitor": "monitoring",
}


def _matching_paths(data: Any, pattern: KeyPath) -> Iterator[KeyPath]:
    """The key paths in nested tables that a pattern stands for; "*" is any name."""
    if not pattern:
        yield ()
    elif isinstance(data, dict):
        for key in data if pattern[0] == "*" else [pattern[0]]:
            if key in data:
                yield from ((key, *rest) for rest in _matching_paths(data[key], pattern[1:]))


def without_future_keys(whole: Tree, mistakes: Mistakes) -> Tree:
    """The tree without the keys of later suites; each adds a mistake."""
    found: list[tuple[KeyPath, str]] = [((key,), what) for key, what in LATER_TOP.items() if key in whole.data]
    environments = whole.data.get("environments", {})
    for pattern, what in LATER.items():
        found += [(("environments", *path), what) for path in _matching_paths(environments, ("*", *pattern))]
    for path, what in found:
        mistakes.at(whole, path, f"belongs to {what}, which this version does not have")
    for path, _ in found:
        whole = whole.without(*path)
    return whole
