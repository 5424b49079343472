"""Where in the configuration a result comes from, for pages that show results beside files."""

from __future__ import annotations

from pytest_prodcheck.outcomes import Result, RunRecord

LONGEST = 1000  # characters of a path
_FILE = "prodcheck.toml"


def source_line(result: Result, run: RunRecord) -> tuple[str, int]:
    """File (relative to the root) and line of the target's declaration; the first line of prodcheck.toml for others."""
    kind = result.kind or "environment"
    # a team's own evidence is named as its section is
    own = () if kind == "environment" else (f"{kind}:{result.target}",)
    place = next((run.places[key] for key in (*own, *result.evidence, "environment:") if key in run.places), "")
    file, _, line = place.rpartition(":")
    start = int(line) if line.isascii() and line.isdigit() and 0 < int(line) < 10**9 else 1
    return file[:LONGEST] or _FILE, start
