"""The packages of the extra `demo`."""

from __future__ import annotations

import importlib.util

from pytest_prodcheck.demo.runtime.errors import MISSING, DemoError

_PACKAGES = {"psycopg": "psycopg", "redis": "redis", "dns": "dnspython", "trustme": "trustme"}


def need_packages() -> None:
    """DemoError where one is missing."""
    missing = [shown for name, shown in _PACKAGES.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise DemoError(f"the demo needs {', '.join(missing)}: {MISSING}")
