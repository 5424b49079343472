"""The old address of `pytest_prodcheck.records`, for one release: the same modules, and a DeprecationWarning."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from pkgutil import iter_modules

from pytest_prodcheck import records

warnings.warn(
    "pytest_prodcheck.evidence.records is now pytest_prodcheck.records; the old path ends with the next release",
    DeprecationWarning,
    stacklevel=2,
)
for _subject in iter_modules(records.__path__):
    sys.modules[f"{__name__}.{_subject.name}"] = import_module(f"{records.__name__}.{_subject.name}")
sys.modules[__name__] = records
