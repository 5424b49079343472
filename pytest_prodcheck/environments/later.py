"""Keys of suites that this version does not have yet: told as such, not as unknown."""

from __future__ import annotations

from fnmatch import fnmatchcase

from pytest_prodcheck.environments.collecting import Mistakes
from pytest_prodcheck.environments.documents import walk
from pytest_prodcheck.environments.positions import Path
from pytest_prodcheck.environments.trees import Tree

# key path below an environment ("*" is any name) -> what brings it
LATER = {
    ("load",): "the performance suite",
    ("metrics",): "the performance suite",
    ("prometheus",): "the performance suite",
    ("slo",): "the performance suite",
    ("alerts",): "the pre_deploy suite",
    ("approval",): "the pre_deploy suite",
    ("backups",): "the pre_deploy suite",
    ("postgres", "*", "backups"): "the pre_deploy suite",
    ("redis", "*", "backups"): "the pre_deploy suite",
}
LATER_TOP = {
    "slo": "the performance suite",
    "notify": "notifications",
    "deploy": "deployments",
    "monitor": "monitoring",
}


def take_out(whole: Tree, mistakes: Mistakes) -> Tree:
    """The tree without the keys of later suites; each adds a mistake."""
    found: list[tuple[Path, str]] = [((key,), what) for key, what in LATER_TOP.items() if key in whole.data]
    for path, _ in walk(whole.data.get("environments", {})):
        for pattern, what in LATER.items():
            if len(path) == len(pattern) + 1 and all(map(fnmatchcase, path[1:], pattern)):
                found.append((("environments", *path), what))
    for path, what in found:
        mistakes.at(whole, path, f"comes with {what}, which this version does not have")
    for path, _ in found:
        whole = whole.without(*path)
    return whole
