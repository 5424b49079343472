"""Loads what a run loads, by one run; imported by the process that tests/forked.py forks from."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pkgutil
import sys
import tempfile
from pathlib import Path

import pytest

import pytest_prodcheck.evidence

CLIENTS = ("cryptography.x509", "jsonschema_rs", "openapi_spec_validator.schemas", "psycopg", "redis", "requests")
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
            pytest.main(["--env", "dev", "-m", "smoke", "-p", "no:cacheprovider", "-p", "no:randomly"])
        finally:
            os.chdir(here)
            sys.path[:] = path
            os.environ.clear()
            os.environ.update(before)
    ours = pkgutil.walk_packages(pytest_prodcheck.evidence.__path__, "pytest_prodcheck.evidence.")
    for name in (*CLIENTS, *(module.name for module in ours)):
        importlib.import_module(name)


_once()
