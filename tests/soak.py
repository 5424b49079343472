"""How much a test repeats: little at a run_gates, enough in CI, a lot in `make soak`."""

from __future__ import annotations

import os

SOAK = bool(os.environ.get("PRODCHECK_SOAK"))
CI = bool(os.environ.get("CI"))
SILENT = 1000 if SOAK else 10 if CI else 3  # runs of each suite on a healthy system, all of which must be silent


def times(name: str, soak: int, usual: int) -> int:
    """How often a test repeats: PRODCHECK_{name}, where it is set, else as a soak or a usual run does."""
    told = os.environ.get(f"PRODCHECK_{name}")
    return int(told) if told else soak if SOAK else usual
