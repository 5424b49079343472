"""`{name}` in strings: filled from the environment's `vars`, without expressions.

Only braces around a plain name count, so that JSON and query languages need no escapes; `{{name}}` stands for a
literal `{name}`. Some names are filled later, each only where something fills it.
"""

from __future__ import annotations

import re
from typing import Any

from pytest_prodcheck.environments.toml.error_collector import Complaint
from pytest_prodcheck.environments.toml.errors import did_you_mean
from pytest_prodcheck.environments.toml.key_lines import KeyPath
from pytest_prodcheck.environments.toml.trees import Tree

NAME = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_-]*)\}\}|\{([A-Za-z_][A-Za-z0-9_-]*)\}")
RESERVED = ("run", "revision", "traceparent", "window", "service", "unit", "workload", "runbook")


def substitute(tree: Tree) -> tuple[dict[str, Any], list[Complaint]]:
    """The tree's data with variables filled in, and complaints about unknown names and unusable variables."""
    complaints: list[Complaint] = []
    written = tree.data.get("vars", {})
    variables: dict[str, str] = {}
    for name, value in written.items() if isinstance(written, dict) else ():
        path = ("vars", name)
        if name in RESERVED:
            complaints.append((path, f"{{{name}}} is set by prodcheck: choose another name", ""))
        elif not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
            complaints.append((path, "expected a name of letters, digits, `_` and `-`, beginning with a letter", ""))
        elif isinstance(value, str):
            variables[name] = value
            for found in NAME.finditer(value):
                complaints.append(
                    (path, f"{found[0]} is not replaced here: the value of a variable is used unchanged", "")
                )
    filler = _Substitution(variables, tree.data, complaints)
    filled = {key: value if key == "vars" else filler.fill(value, (key,)) for key, value in tree.data.items()}
    return filled, complaints


class _Substitution:
    def __init__(self, variables: dict[str, str], data: dict[str, Any], complaints: list[Complaint]) -> None:
        self.variables, self.data, self.complaints = variables, data, complaints

    def fill(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: self.fill(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner, (*path, f"[{position}]")) for position, inner in enumerate(value)]
        return NAME.sub(lambda found: self._one(found, path), value) if isinstance(value, str) else value

    def _one(self, found: re.Match[str], path: KeyPath) -> str:
        escaped, name = found.groups()
        later = names_filled_later(path, self.data)
        if escaped:
            if escaped in later:
                self.complaints.append((path, f"{{{escaped}}} would be replaced later: choose another name", ""))
            return f"{{{escaped}}}"
        if name in self.variables:
            if name in later:
                self.complaints.append((path, f"{{{name}}} is both a variable and captured by a step: rename one", ""))
            return self.variables[name]
        if name not in later:
            if name in RESERVED:
                hint = "{run}, {revision} and {traceparent} are replaced in headers"
                self.complaints.append((path, f"{{{name}}} is not known here", hint))
            else:
                hint = f"{did_you_mean(name, self.variables)}; write `{{{{{name}}}}}` for the literal text"
                self.complaints.append((path, f"no variable `{name}` in vars", hint))
        return found[0]


def names_filled_later(path: KeyPath, data: dict[str, Any]) -> set[str]:
    """The names that are filled in at this key when something is sent or shown, not when the file is read."""
    if path[:1] == ("slots",) and path[-1] == "workload":
        return {"workload"}
    if path[:2] == ("kubernetes", "manifests") or path == ("deploy", "kubernetes", "image"):
        return {"unit", "revision"}
    if path[:1] == ("postgres",) and path[2:4] == ("backups", "restore"):
        return {"label", "folder"} if path[4:5] == ("command",) else {"label"} if path[4:] == ("record",) else set()
    names = {"run", "revision", "traceparent"} if "headers" in path else set()
    if path[:1] == ("metrics",) and path[2:] in (("query",), ("samples",)):
        return {"window", "revision", "service"}
    if path[:2] == ("deploy", "migrations"):
        return {"name"} if path[2:] == ("sql",) else {"phase", "revision", "unit"}
    if path[:3] == ("deploy", "analysis", "metrics"):
        return {"revision"}
    if path[:2] == ("deploy", "commands"):
        return {"slot", "revision", "percent", "shares", "unit"}
    if path == ("rollback", "document"):
        names |= {"revision", "unit"}
    if path[:1] == ("settings",) and path[2:] in (("file",), ("configmap",)):
        names |= {"revision", "unit"}
    if path[:1] in (("vulnerabilities",), ("approval",)):
        names |= {"revision", "unit"}
    if path[:1] == ("workflows",) and path[2:3] and path[2] in ("steps", "cleanup"):
        names |= captured(data, path[1]) | set(_tables(data, "workflows", path[1], "values"))
    if path[:1] == ("load",) and path[2:3] == ("vary",) and path[4:5] and path[4] in ("path", "json", "headers"):
        names |= columns(_tables(data, "load", path[1], "vary", path[3]), data)
    return names


def columns(vary: dict[str, Any], data: dict[str, Any]) -> set[str]:
    """The names that a load's rows fill in; of a file, which is read later, all that no variable fills in."""
    if "file" not in vary:
        return set(_tables(vary, "numbers"))
    written = {found[2] for found in NAME.finditer(str([vary.get(key) for key in ("path", "json", "headers")]))}
    return written - {None} - set(_tables(data, "vars"))


def _tables(data: Any, *keys: str) -> dict[str, Any]:
    """The table at these keys; an empty one where there is none, for the data is not validated yet."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def captured(data: dict[str, Any], workflow: str) -> set[str]:
    """The names that the steps of a workflow capture; lenient, for the data is not validated yet."""
    table = _tables(data, "workflows", workflow)
    parts = [table.get(part) for part in ("steps", "cleanup")]
    steps = [each for part in parts if isinstance(part, list) for each in part]
    found = [step.get("capture") for step in steps if isinstance(step, dict)]
    return {name for capture in found if isinstance(capture, dict) for name in capture}
