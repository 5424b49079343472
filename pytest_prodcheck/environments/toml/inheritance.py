"""`extends`: resolves chains of environments into one tree each."""

from __future__ import annotations

import re

from pytest_prodcheck.environments.toml.error_collector import Mistakes
from pytest_prodcheck.environments.toml.errors import did_you_mean, dotted
from pytest_prodcheck.environments.toml.trees import Tree, lay_over

NOT_INHERITED = ("extends", "abstract")


def resolve(whole: Tree, mistakes: Mistakes) -> dict[str, Tree]:
    """Environment name -> its tree with what it inherits; abstract ones too. Ones with a broken chain are left out."""
    written = whole.data.get("environments", {})
    if not isinstance(written, dict):
        mistakes.at(whole, ("environments",), "expected tables [environments.NAME]")
        return {}
    resolved: dict[str, Tree] = {}
    for name, table in written.items():
        path = ("environments", name)
        if not isinstance(table, dict):
            mistakes.at(whole, path, f"expected a table, [environments.{dotted((name,))}]")
        elif not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            mistakes.at(
                whole, path, "expected a name of letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
            )
        elif chain := _chain(name, whole, mistakes):
            resolved[name] = _laid_over(chain, whole)
    return resolved


def _laid_over(chain: list[str], whole: Tree) -> Tree:
    tree = Tree()
    for name in reversed(chain):
        layer = whole.below("environments", name)
        for key in NOT_INHERITED if name != chain[0] else ():
            layer = layer.without(key)
        tree = lay_over(tree, layer, free="own")
    return tree


def _chain(name: str, whole: Tree, mistakes: Mistakes) -> list[str]:
    """The environment and those that it extends, nearest first; [] with a mistake for an unknown one or a circle."""
    environments = whole.data["environments"]
    chain = [name]
    while True:
        parent = environments[chain[-1]].get("extends")
        if parent is None:
            return chain
        path = ("environments", chain[-1], "extends")
        if not isinstance(parent, str):
            mistakes.at(whole, path, 'expected the name of an environment, such as extends = "base"')
        elif not isinstance(environments.get(parent), dict):
            others = [each for each in environments if each != chain[-1]]
            mistakes.at(whole, path, f"there is no environment `{dotted((parent,))}`", did_you_mean(parent, others))
        elif parent in chain:
            circle = chain[chain.index(parent) :]
            first = circle.index(min(circle))  # the same words for each of them: told once
            around = " -> ".join([*circle[first:], *circle[: first + 1]])
            path = ("environments", circle[first], "extends")
            mistakes.at(whole, path, f"environments extend each other in a loop: {around}")
        else:
            chain.append(parent)
            continue
        return []
