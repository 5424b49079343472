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

import cryptography.x509  # noqa: F401
import psycopg  # noqa: F401
import pytest
import redis  # noqa: F401
import requests  # noqa: F401

import pytest_prodcheck.evidence

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
    for module in pkgutil.walk_packages(pytest_prodcheck.evidence.__path__, "pytest_prodcheck.evidence."):
        importlib.import_module(module.name)


_once()
