"""What `--env` costs on 1,000 trivial checks, and what the installed plugin costs where it is not asked for."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.measure import PYTHON, row, side_by_side
from tests.project import Project

TOML = 'version = 1\nproject = "bench"\nchecks = ["checks"]\n[environments.dev]\nrevision = "r1"\n'
HEAD = "from pytest_prodcheck import check, judge\n"
CHECK = '@check("bench.smoke.n{0}", suite="smoke", severity="high")\ndef test_{0}():\n    judge("one", 1, at_most=2)\n'
PLAIN = "def test_{0}():\n    assert 1 < 2\n"
PYTEST = (PYTHON, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider")


def main(count: int = 1000) -> bool:
    """With --env at most 1.4 x plain pytest; without it at most 1.02 x of pytest without the plugin."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = Project.make(folder, TOML, HEAD + "".join(CHECK.format(number) for number in range(count)))
        project.write("plain/test_plain.py", "".join(PLAIN.format(number) for number in range(count)))
        taken = side_by_side(
            folder, 5,
            env=[*PYTEST, "-m", "smoke", "--env", "dev"],
            plain=[*PYTEST, "plain"],
            without=[*PYTEST, "-p", "no:prodcheck", "plain"],
        )  # fmt: skip
    first = row(f"{count:,} checks with --env / plain pytest on {count:,} tests", taken["env"] / taken["plain"], 1.4)
    second = row(f"{count:,} tests, plugin installed / switched off", taken["plain"] / taken["without"], 1.02)
    return first and second
