"""Loads what a run loads, by one run; imported by the process that tests/forked.py forks from."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import pkgutil
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

import pytest_prodcheck.environments.sections
import pytest_prodcheck.evidence
from pytest_prodcheck.catalogue import suites_with_checks
from pytest_prodcheck.environments.sections.lazy import Lazy

CLIENTS = ("cryptography.x509", "jsonschema_rs", "openapi_spec_validator.schemas", "psycopg", "redis", "requests")
PACKAGES = (pytest_prodcheck.environments.sections, pytest_prodcheck.evidence)
TOML = """\
version = 1
project = "warm"
[environments.dev]
revision = "r1"
[environments.dev.services.nobody]
url = "http://127.0.0.1:9"
"""


def _once() -> None:
    here = Path.cwd()
    path, before = list(sys.path), dict(os.environ)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        os.chdir(folder)
        Path("prodcheck.toml").write_text(TOML, encoding="utf-8")
        try:
            suites = " or ".join(suites_with_checks())
            pytest.main(["--env", "dev", "-m", suites, "-p", "no:cacheprovider", "-p", "no:randomly"])
        finally:
            os.chdir(here)
            sys.path[:] = path
            os.environ.clear()
            os.environ.update(before)
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for name in CLIENTS:
        importlib.import_module(name)
    for section in Lazy.__subclasses__():
        section.model().model_rebuild()


def _remember_plugins() -> None:
    """Reads here, once, what pytest's start reads three times of each installed package."""
    found = {str(each._path): each for each in metadata.distributions()}  # type: ignore[attr-defined]
    _remember("entry_points", found)
    plugins = {path: each for path, each in found.items() if each.entry_points.select(group="pytest11")}
    for name in ("metadata", "files"):
        _remember(name, plugins)


def _remember(name: str, of: dict[str, metadata.Distribution]) -> None:
    read: Callable[[object], object] = getattr(metadata.Distribution, name).fget
    known = {path: read(each) for path, each in of.items()}

    def remembered(self: metadata.PathDistribution) -> object:
        path = str(self._path)
        return known[path] if path in known else read(self)

    setattr(metadata.PathDistribution, name, property(remembered))


_once()
_remember_plugins()
gc.collect()
gc.freeze()  # else each forked process looks through all of this, and copies it
