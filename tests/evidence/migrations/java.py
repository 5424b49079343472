"""Migration tools of Java, each one process that a test module talks to line by line."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.runtime.programs import postgres_programs
from pytest_prodcheck.environments.sections.database import Migrations
from pytest_prodcheck.evidence.migrations.model import Script, State
from pytest_prodcheck.evidence.migrations.scripts import scripts_of
from tests.evidence.postgres.servers import PASSWORD, Server, server

CACHE = Path("~/.cache/pytest-prodcheck").expanduser()


class Tool:
    """`Histories.java` of a folder beside it, over schemas of a real server; a history is a folder and a schema."""

    def __init__(self, process: subprocess.Popen[str], postgres: Server, root: Path) -> None:
        self._process, self.postgres, self.root = process, postgres, root

    def does(self, action: str, name: str, *words: str) -> str:
        """What it says of an action, after "> "."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\t".join((action, str(self.root / name), name, *words)) + "\n")
        self._process.stdin.flush()
        while not (line := self._process.stdout.readline()).startswith("> "):
            assert line, "the tool has ended"
        return line.removeprefix("> ").strip()

    def write(self, name: str, **files: str | None) -> None:
        """Files by name; None takes one away."""
        for file, text in files.items():
            path = self.root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True) if text is None else path.write_text(text)

    def shipped(self, kind: str, name: str, **settings: Any) -> tuple[dict[str, Script], Migrations]:
        declared = Migrations.model_validate({"kind": kind, "scripts": name, **settings})
        return scripts_of(declared, self.root), declared


@contextlib.contextmanager
def tool(name: str, version: int, root: Path) -> Iterator[Tool]:
    """name: of the tool, and of the folder beside with pom.xml and Histories.java."""
    here = Path(__file__).parent / name
    libraries = CACHE / f"{name}-{version}"
    if not (shutil.which("java") and shutil.which("mvn")):
        pytest.skip(f"{name} runs in Java; install: apt-get install default-jdk-headless maven")
    if not list(libraries.glob(f"{name}-core-*.jar")):
        command = ["mvn", "-q", "-B", "-f", str(here / "pom.xml"), "dependency:copy-dependencies"]
        done = subprocess.run([*command, f"-DoutputDirectory={libraries}"], capture_output=True, timeout=300)
        if done.returncode:
            pytest.skip(f"Maven cannot get {name} here: mvn dependency:copy-dependencies failed")
    with server(postgres_programs()) as postgres:
        postgres.run(f"alter role postgres password '{PASSWORD}'")
        url = f"jdbc:postgresql://127.0.0.1:{postgres.node.port}/shop"
        java = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{libraries}/*", str(here / "Histories.java")]
        process = subprocess.Popen([*java, url, PASSWORD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            yield Tool(process, postgres, root)
        finally:
            process.kill()
            process.communicate(timeout=10)


def faults(state: State) -> dict[str, list[str]]:
    """What a state has against it."""
    kinds = ("failed", "unknown", "pending", "skipped", "changed", "untold", "unverified")
    return {kind: getattr(state, kind) for kind in kinds if getattr(state, kind)}
