"""`extends`: resolves chains of environments into one tree each."""

from __future__ import annotations

from pytest_prodcheck.environments.mistakes import Mistake, did_you_mean, dotted
from pytest_prodcheck.environments.trees import Origin, Path, Tree, lay_over

NOT_INHERITED = ("extends", "abstract")


def mistake_at(origin: Origin | None, path: Path, message: str, hint: str = "") -> Mistake:
    """A mistake at a key: `path` is shown where the origin's own path is not known."""
    if origin is None:
        return Mistake("prodcheck.toml", None, dotted(path), message, hint)
    return Mistake(origin.file, origin.line, dotted(path), message, hint)


def resolve(whole: Tree, mistakes: list[Mistake]) -> dict[str, Tree]:
    """Environment name -> its tree with what it inherits; abstract ones too. Ones with a broken chain are left out."""
    written = whole.data.get("environments", {})
    if not isinstance(written, dict):
        mistakes.append(mistake_at(whole.origin(("environments",)), ("environments",), "expected tables [environments.NAME]"))
        return {}
    resolved: dict[str, Tree] = {}
    for name, table in written.items():
        if not isinstance(table, dict):
            path = ("environments", name)
            mistakes.append(mistake_at(whole.origin(path), path, f"expected a table: [environments.{name}]"))
            continue
        chain = _chain(name, whole, mistakes)
        if chain:
            tree = Tree()
            for each in reversed(chain):
                layer = whole.below("environments", each)
                for key in NOT_INHERITED if each != name else ():
                    layer = layer.without(key)
                tree = lay_over(tree, layer, free=("own",))
            resolved[name] = tree
    return resolved


def _chain(name: str, whole: Tree, mistakes: list[Mistake]) -> list[str]:
    """The environment and those that it extends, nearest first; [] with a mistake for an unknown one or a circle."""
    environments = whole.data["environments"]
    chain = [name]
    while True:
        table = environments.get(chain[-1])
        parent = table.get("extends") if isinstance(table, dict) else None
        if parent is None:
            return chain
        path = ("environments", chain[-1], "extends")
        at = whole.origin(path)
        if not isinstance(parent, str):
            mistakes.append(mistake_at(at, path, 'expected the name of an environment, such as extends = "base"'))
        elif parent not in environments:
            others = [each for each in environments if each != chain[-1]]
            shown = "".join(each if each.isprintable() else "?" for each in parent[:100])
            mistakes.append(mistake_at(at, path, f"there is no environment `{shown}`", did_you_mean(parent, others)))
        elif parent in chain:
            circle = " -> ".join([*chain[chain.index(parent) :], parent])
            mistakes.append(mistake_at(at, path, f"environments extend each other in a circle: {circle}"))
        else:
            chain.append(parent)
            continue
        return []
