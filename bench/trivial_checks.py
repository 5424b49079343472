"""What `--env` costs on 1,000 trivial checks, and what the installed plugin costs where it is not asked for."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.measure import PYTEST, Taken, row, side_by_side
from tests.project import Project

TOML = 'version = 1\nproject = "bench"\nchecks = ["checks"]\n[environments.dev]\nrevision = "r1"\n'
HEAD = "from pytest_prodcheck import check, judge\n"
CHECK = '@check("bench.smoke.n{0}", suite="smoke", severity="high")\ndef test_{0}():\n    judge("one", 1, at_most=2)\n'
PLAIN = "def test_{0}():\n    assert 1 < 2\n"


def taken_for(count: int, runs: int, without: bool = False) -> dict[str, Taken]:
    """What `count` checks with --env take beside `count` plain tests, the plugin installed or also switched off."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = Project.make(folder, TOML, HEAD + "".join(CHECK.format(number) for number in range(count)))
        project.write("plain/test_plain.py", "".join(PLAIN.format(number) for number in range(count)))
        commands = {"env": [*PYTEST, "-m", "smoke", "--env", "dev"], "plain": [*PYTEST, "plain"]}
        if without:
            commands["without"] = [*PYTEST, "-p", "no:prodcheck", "plain"]
        return side_by_side(folder, runs, **commands)


def main(count: int = 1000, runs: int = 7) -> bool:
    """By processor time: with --env at most 1.4 x plain pytest; without it at most 1.02 x pytest without the plugin."""
    taken = taken_for(count, runs, without=True)
    env, plain, without = taken["env"], taken["plain"], taken["without"]
    first = row(f"{count:,} checks with --env / plain pytest on {count:,} tests", env.cpu / plain.cpu, 1.4,
                f"; by the clock {env.wall / plain.wall:.2f}")  # fmt: skip
    second = row(f"{count:,} tests, plugin installed / switched off", plain.cpu / without.cpu, 1.02,
                 f"; by the clock {plain.wall / without.wall:.2f}")  # fmt: skip
    return first and second


def growth(few: int = 1000, many: int = 10_000) -> bool:
    """What one more check costs; ten times the checks may cost at most 1.15 x as much each as at the start."""
    small, middle, large = taken_for(few, 3), taken_for(many // 2, 1), taken_for(many, 1)
    early, late = (
        {name: (b[name].cpu - a[name].cpu) / step * 1e6 for name in a}
        for a, b, step in ((small, middle, many // 2 - few), (middle, large, many - many // 2))
    )
    memory = {name: (large[name].memory - small[name].memory) / (many - few) * 1024 for name in small}
    print(f"      one check more: {late['env']:.0f} us and {memory['env']:.1f} KB; "
          f"a plain test {late['plain']:.0f} us and {memory['plain']:.1f} KB")  # fmt: skip
    return row(f"a check between {many // 2:,} and {many:,} / between {few:,} and {many // 2:,}",
               late["env"] / early["env"], 1.15)  # fmt: skip
