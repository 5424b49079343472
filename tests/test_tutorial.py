"""The tutorial's commands, run in its order, print what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.field.web.support import free_port
from tests.project import Project

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tutorial.md"
BLOCK = re.compile(r'^```(console|toml title="prodcheck\.toml(?: \(add\))?"|\w+)\n(.*?)^```$', re.M | re.S)
LEFT_OUT = "…"
CHANGES = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]+")  # a run's id


class Reader:
    """Somebody who does what the page says, in a folder of their own, with another port."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder)
        self.port = str(free_port())
        self.code = 0
        self.server: subprocess.Popen[bytes] | None = None

    def types(self, line: str) -> str:
        """What a command prints."""
        if line == "echo $?":
            return f"{self.code}\n"
        words = shlex.split(line)
        environ = dict(self.project.environ)
        while "=" in words[0]:
            name, _, environ[name] = words.pop(0).partition("=")
        if words[:3] == ["python3", "-m", "http.server"]:
            return self._serves(words[1:])
        if words[0] == "prodcheck":
            done = Project(self.project.folder, environ).prodcheck(*words[1:])
        else:
            done = self.project.command("sh", "-c", line)
            assert done.returncode == 0, line
        self.code = done.returncode
        return done.stdout + done.stderr

    def _serves(self, words: list[str]) -> str:
        quiet = subprocess.DEVNULL
        self.server = subprocess.Popen([sys.executable, *words], cwd=self.project.folder, stdout=quiet, stderr=quiet)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                requests.get(f"http://127.0.0.1:{self.port}/healthz.json", timeout=5).raise_for_status()
                return ""
            except requests.ConnectionError:
                time.sleep(0.05)
        raise AssertionError("the service does not answer")


@contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    one = Reader(folder)
    try:
        yield one
    finally:
        if one.server:
            one.server.kill()
            one.server.wait()


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block with the lines that it has to print."""
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        line, _, printed = part.partition("\n")
        yield line, printed.splitlines()


def agree(shown: list[str], printed: str) -> bool:
    """Whether the output is the one that is shown; `…` stands for lines, and at the end of a line for its rest."""
    parts = []
    for line in shown:
        whole = re.escape(CHANGES.sub("RUN", line))
        parts.append(r"(?:.*\n)*?" if line == LEFT_OUT else whole.replace(LEFT_OUT, ".*") + r"\n")
    return re.fullmatch("".join(parts), CHANGES.sub("RUN", printed)) is not None


FIRST, DEMO, REST = re.split(r"^## (?:8\.|What you have) .*\n", PAGE.read_text(encoding="utf-8"), flags=re.M)


def replayed(text: str, folder: Path) -> list[str]:
    """The commands of a part of the page, each of which printed what is shown."""
    seen = []
    with reader(folder) as person:
        for language, block in BLOCK.findall(text):
            typed = block.replace("8765", person.port)
            if language.startswith("toml"):
                with (folder / "prodcheck.toml").open("a", encoding="utf-8") as file:
                    file.write("\n" + typed)
            if language != "console":
                continue
            for line, shown in commands(typed):
                printed = person.types(line)
                assert agree(shown, printed), f"$ {line}\n{printed}"
                seen.append(line)
    return seen


def test_what_is_shown_is_what_is_printed(tmp_path: Path) -> None:
    seen = replayed(FIRST, tmp_path)
    assert len(seen) > 20
    assert sum("prodcheck run" in line for line in seen) == 4


def test_the_demo_prints_what_is_shown(tmp_path: Path) -> None:
    assert len(replayed(DEMO, tmp_path)) == 3


def test_the_lines_that_are_not_replayed_are_these() -> None:
    """Installing needs a network; the last block is what a pipeline would have."""
    shell = [block for language, block in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if language == "sh"]
    assert [block.splitlines()[-1].split()[0] for block in shell] == ["pip", "prodcheck"]
    assert "console" not in REST


def test_the_comparison_sees_differences() -> None:
    assert agree(["a", LEFT_OUT, "d"], "a\nb\nc\nd\n")
    assert agree(["a", LEFT_OUT], "a\n")
    assert agree(["a …"], "a b c\n")
    assert not agree(["a"], "a\nb\n")
    assert not agree(["a", LEFT_OUT, "e"], "a\nb\nd\n")
    assert not agree([], "a\n")
