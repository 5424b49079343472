"""Finds and reads `prodcheck.toml` with its included files, and resolves it; all mistakes are told at once."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_prodcheck.environments import environment_rules, project_rules
from pytest_prodcheck.environments.configuration import Configuration
from pytest_prodcheck.environments.project import SET_BY_LOADER, Environment, Project
from pytest_prodcheck.environments.toml import future_keys, inheritance
from pytest_prodcheck.environments.toml.error_collector import Mistakes
from pytest_prodcheck.environments.toml.errors import ConfigurationError, Mistake, did_you_mean
from pytest_prodcheck.environments.toml.includes import VERSION, Reader
from pytest_prodcheck.environments.toml.substitution import substitute
from pytest_prodcheck.environments.toml.trees import Tree
from pytest_prodcheck.environments.validation import keys_at, validate

__all__ = ["Configuration", "ConfigurationError", "Mistake", "find_configuration", "load"]

FILE = "prodcheck.toml"


def find_configuration(start: Path) -> Path | None:
    """The nearest prodcheck.toml from a folder upward, None for none. A folder of that name counts: `load` says so."""
    folder = start.resolve()
    for each in (folder, *folder.parents):
        if os.path.lexists(each / FILE):
            return each / FILE
    return None


def load(path: Path) -> Configuration:
    """The configuration in a file; raises ConfigurationError with all that is wrong with it and what it includes."""
    path = Path(os.path.abspath(path))
    mistakes = Mistakes(path.name)
    reader = Reader(path, mistakes)
    whole = future_keys.without_future_keys(reader.read(), mistakes)
    trees = inheritance.resolve(whole, mistakes)
    project = _project(whole, mistakes)
    abstract = {name for name, tree in trees.items() if tree.data.get("abstract") is True}
    environments: dict[str, Environment] = {}
    for name, tree in trees.items():
        if name not in abstract and (found := _environment(name, tree, path.parent, mistakes)) is not None:
            environments[name] = found
    if project is not None:
        names = whole.data.get("environments")
        known = {
            name: environments.get(name) for name in (names if isinstance(names, dict) else ()) if name not in abstract
        }
        mistakes.all(whole, project_rules.project_complaints(project, known, abstract, path.parent))
    if project is None or mistakes:
        raise mistakes.error()
    project = project.model_copy(update={"environments": environments})
    return Configuration(project, path.parent, path, reader.files, trees)


def _project(whole: Tree, mistakes: Mistakes) -> Project | None:
    """Everything but the environments."""
    data = {key: value for key, value in whole.data.items() if key not in ("environments", "gate_defaults")}
    if "gate_defaults" in whole.data:
        mistakes.at(whole, ("gate_defaults",), "unknown key", "did you mean `gates.defaults`?")
    gates = data.get("gates")
    if isinstance(gates, dict) and "defaults" in gates:
        data["gates"] = {key: value for key, value in gates.items() if key != "defaults"}
        data["gate_defaults"] = gates["defaults"]
    data["version"] = VERSION  # was checked
    project, complaints = validate(Project, data)
    for path, message, hint in complaints:
        at = ("gates", "defaults", *path[1:]) if path[:1] == ("gate_defaults",) else path
        mistakes.at(whole, at, message, hint)
    return project


def _environment(name: str, tree: Tree, root: Path, mistakes: Mistakes) -> Environment | None:
    """One environment that is not abstract, None with mistakes."""
    prefix, before = ("environments", name), len(mistakes)
    data, complaints = substitute(tree)
    mistakes.all(tree, complaints, prefix)
    for key in (key for key in SET_BY_LOADER if key in data):
        known = keys_at(Environment, ()) - set(SET_BY_LOADER)
        mistakes.at(tree, (key,), "unknown key", did_you_mean(key, known), prefix)
    plain = {key: value for key, value in data.items() if key not in (*SET_BY_LOADER, "extends")}
    environment, complaints = validate(Environment, plain)
    mistakes.all(tree, complaints, prefix)
    if environment is None:
        return None
    environment = environment.model_copy(update={"name": name})
    mistakes.all(tree, environment_rules.complaints(environment, root), prefix)
    protected = name if environment.protected else ""
    thresholds = project_rules.threshold_complaints(environment.thresholds, ("thresholds",), protected)
    mistakes.all(tree, thresholds, prefix)
    return environment if len(mistakes) == before else None
