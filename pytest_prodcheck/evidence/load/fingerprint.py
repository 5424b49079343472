"""What a scenario sends and from where, as one digest: only runs of the same one are compared."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.answers.decoding import BROWSERS
from pytest_prodcheck.environments.queries import services_of_load
from pytest_prodcheck.evidence.http.service_requests import endpoint

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.load import Load

SHAPE = {
    "mix", "flows", "think", "vary", "locustfile", "users", "spawn_rate", "rate", "duration", "shape", "from_", "steps",
    "hosts", "http",
}  # fmt: skip
OF_ENDPOINTS = {"request", "json_", "form", "headers", "as_", "status", "content_type", "contains", "schema_"}
LARGEST = 1024 * 1024  # bytes of a Python file that are read
LONGEST_NAME = 200  # characters of a text in it that may name a file


def fingerprint(name: str, environment: Environment, root: Path, vantage: str) -> str:
    """A digest of requests, mix, shape, time-outs, of a Locust file with what it imports, and of where it ran from."""
    load = environment.load[name]
    told: dict[str, Any] = {
        "load": load.model_dump(mode="json", include=SHAPE),
        "from": vantage,
        "encoding": BROWSERS,
        "services": [_service(each, environment) for each in sorted(services_of_load(environment, name))],
        "requests": [_request(target, environment) for target in sorted(load.mix)],
        "flows": [environment.workflows[each].model_dump(mode="json") for each in sorted(load.flows)],
        "files": list(_files(load, root)),
    }
    shared = environment.model_dump(mode="json", include={"headers"})
    if shared["headers"]:  # what is not declared stays out: digests of earlier runs hold
        told["headers"] = shared["headers"]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _request(target: str, environment: Environment) -> list[Any]:
    _, declared, _ = endpoint(environment, target)
    return [target, declared.model_dump(mode="json", include=OF_ENDPOINTS)]


def _service(name: str, environment: Environment) -> list[Any]:
    service = environment.services[name]
    told = [name, service.url, service.connect_to, service.timeout]
    return [*told, service.model_dump(mode="json", include={"headers"})] if service.headers else told


def _files(load: Load, root: Path) -> Iterator[list[str]]:
    for name in sorted(each.file for each in load.vary.values() if each.file is not None):
        yield [name, _digest(root / name)]
    if load.locustfile is None:
        return
    code = python_files(root / load.locustfile)
    for file in sorted(code | {data for each in code for data in _named_files(each, root)}):
        yield [file.name, _digest(file)]


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""  # whoever reads it says so


def python_files(first: Path) -> set[Path]:
    """A Python file and those beside it that it imports, and they in turn; nothing is imported or run for it."""
    found: set[Path] = set()
    wanted = [first]
    while wanted:
        file = wanted.pop()
        if file in found or not file.is_file():
            continue
        found.add(file)
        wanted += [path for name in _imports(file) for path in _candidate_files(first.parent, file.parent, name)]
    return found


def _named_files(file: Path, root: Path) -> Iterator[Path]:
    """The files that a Python file names in full, beside it or in the project's folder: the data of its users."""
    for node in _nodes(file):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) < LONGEST_NAME:
            for path in (root / node.value, file.parent / node.value):
                if os.path.isfile(path):
                    yield path


def _nodes(file: Path) -> Iterator[ast.AST]:
    try:
        yield from ast.walk(ast.parse(file.read_bytes()[:LARGEST]))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return


def _imports(file: Path) -> Iterator[str]:
    for node in _nodes(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module or ''}.{alias.name}".strip(".") for alias in node.names)


def _candidate_files(root: Path, here: Path, name: str) -> Iterator[Path]:
    path = name.replace(".", "/")
    for folder in (root, here):
        yield folder / f"{path}.py"
        yield folder / path / "__init__.py"
