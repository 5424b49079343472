"""The project's own code is what lies in its files: byte code is believed only where it was made after its source.

Python compares the time and length that a source had, as pytest does before 9.2; tools set that time back (`cp -p`,
rsync, archives, images). The time at which a file's own record changed (ctime) nobody sets.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from glob import escape, iglob
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from typing import Any

LOADED: set[str] = set()  # the project's own sources that were loaded here, also what `sys.modules` has forgotten


def drop_stale(source: str) -> None:
    """Removes byte code of a source that is not younger than it; raises OSError where it cannot."""
    with suppress(FileNotFoundError):
        changed = os.stat(source).st_ctime_ns
        plain = cache_from_source(source)
        stem = os.path.basename(source).removesuffix(".py")
        for each in iglob(f"{escape(os.path.dirname(plain))}/{escape(stem)}.*.pyc"):
            if os.stat(each).st_ctime_ns <= changed:
                os.unlink(each)


def bypass_bytecode(is_own: Callable[[str], bool]) -> Callable[[], None]:
    """Has Python do so for modules that are the project's own, from now on; returns how to end it."""
    before = SourceFileLoader.path_stats

    def path_stats(loader: SourceFileLoader, path: Any) -> Any:
        if is_own(str(path)):
            LOADED.add(str(path))
            drop_stale(str(path))  # an OSError has Python read the source alone
        return before(loader, path)

    def give_back() -> None:
        if SourceFileLoader.path_stats is path_stats:
            SourceFileLoader.path_stats = before  # type: ignore[method-assign]

    SourceFileLoader.path_stats = path_stats  # type: ignore[method-assign,assignment]
    return give_back
