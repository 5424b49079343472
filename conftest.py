"""What the tests of this checkout need from the start: pytest's plugin for tests of plugins, and their options.

pytest takes plugins only from the conftest at the root, and options only from one that it reads at the start. Hooks
that are called for each test belong into tests/conftest.py: a run of checks inside the checkout reads this file too.

It is in no wheel, so nobody pays for it who installed one. Inside the checkout, a run with 2,000 trivial checks took
2.57 s of processor with it and 2.52 s without (best of six each): the import of pytester once. With an editable install
checks elsewhere cost a tenth of a millisecond more each: pytest filters its hooks for a check where it read a conftest
that does not lie above the check.
"""

from __future__ import annotations

import os
import sys

import pytest

pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own tests; each is also read from the environment, which processes of a test inherit."""
    group = parser.getgroup("prodcheck's own tests")
    group.addoption("--soak", action="store_true", help="thousands of cases and silent runs (PRODCHECK_SOAK=1)")
    group.addoption(
        "--no-skips", action="store_true", help="a test skipped for a missing program fails (PRODCHECK_NO_SKIPS=1)"
    )
    for option in ("soak", "no-skips"):  # here too: conftests below are imported before pytest_configure
        if f"--{option}" in sys.argv:
            os.environ[f"PRODCHECK_{option.upper().replace('-', '_')}"] = "1"
    group.addoption("--only", choices=("measuring", "others"), help="tests that measure times, or the rest")


def pytest_configure(config: pytest.Config) -> None:
    """Hands the options on before a test module is imported."""
    for option in ("soak", "no_skips"):
        if config.getoption(option):
            os.environ[f"PRODCHECK_{option.upper()}"] = "1"
