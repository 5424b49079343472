"""A small user's project in a temporary folder, driven as its user would: by processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import forked

TOML = """\
version = 1
project = "t"
checks = ["checks"]

[environments.dev]
revision = "r1"
[environments.dev.own.fact]
value = 1.0

[environments.live]
protected = true
absent = ["services", "auth", "workflows", "postgres", "redis"]
[environments.live.own.fact]
value = 1.0
"""

CHECKS = '''\
from dataclasses import dataclass

from pytest_prodcheck import Deadline, Limit, check, collector, judge


@dataclass(frozen=True)
class Fact:
    value: float


@collector("fact", settings={"value": float})
def gather_fact(settings: dict[str, object], deadline: Deadline) -> Fact:
    return Fact(float(str(settings["value"])))


@check("t.smoke.one", suite="smoke", severity="critical", limit=Limit(warn=5, fail=10), needs={"fact": "fact"})
def test_one(fact, limit):
    """The fact is small."""
    judge("fact", fact.value, at_most=limit)


@check("t.smoke.two", suite="smoke", severity="critical", needs={"fact": "fact"})
def test_two(fact):
    """The fact is there."""
    judge("fact is there", fact.value is not None)


@check("t.smoke.three", suite="smoke", severity="medium", needs={"fact": "fact"})
def test_three(fact):
    """The fact is no text."""
    judge("fact is a number", isinstance(fact.value, float))
'''


@dataclass
class Project:
    """`prodcheck.toml` and a folder `checks` with three checks of one fact."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, toml: str = TOML, checks: str = CHECKS) -> Project:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "checks").mkdir(exist_ok=True)
        (folder / "prodcheck.toml").write_text(toml, encoding="utf-8")
        (folder / "checks" / "test_facts.py").write_text(checks, encoding="utf-8")
        return cls(folder)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def edit(self, old: str, new: str, name: str = "prodcheck.toml") -> None:
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def env(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PRODCHECK", "COV"))}
        return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **self.environ}

    def command(self, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=self.folder, env=self.env(), capture_output=True, text=True, timeout=timeout, check=False
        )

    def pytest(self, *arguments: str, env: str = "dev") -> subprocess.CompletedProcess[str]:
        """`pytest --env dev -m smoke …` with nothing of the outer run."""
        words = ["--env", env, "-p", "no:randomly", *arguments]
        if not any(each in arguments for each in ("-m", "--gate")):
            words += ["-m", "smoke"]
        return forked.run("pytest", words, self.folder, self.env())

    def prodcheck(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return forked.run("pytest_prodcheck.cli", arguments, self.folder, self.env())

    def gate(self, *arguments: str, env: str = "dev", name: str = "smoke") -> int:
        return self.prodcheck("gate", name, "--env", env, *arguments).returncode

    def await_file(self, name: str, seconds: float = 60) -> None:
        """Waits for a file that a check or a conftest of the project writes."""
        end = time.monotonic() + seconds
        while not (self.folder / name).exists():
            assert time.monotonic() < end, f"no {name} after {seconds:g} s"
            time.sleep(0.02)

    def verdict_files(self) -> list[Path]:
        return sorted((self.folder / ".prodcheck" / "verdicts").rglob("*.json"))

    def verdict(self) -> dict[str, Any]:
        (file,) = self.verdict_files()
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return document
