"""A real project folder, and real commands in processes forked from one that has loaded them already."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.gates.model_world import GATES, Files

_SERVER = """
import json, os, sys, tempfile, time
real, shift = time.time, 0.0
time.time = lambda: real() + shift
import pytest
from pytest_prodcheck.cli import main
work = tempfile.mkdtemp(); os.chdir(work)
open("prodcheck.toml", "w").write('version = 1\\n[environments.dev]\\nrevision = "r1"\\n')
if os.fork() == 0:
    os.execv(sys.executable, [sys.executable, "-c", "pass"])
os.wait()
null = os.open(os.devnull, os.O_RDWR)
saved = os.dup(1); os.dup2(null, 1); pytest.main(["--env", "dev", "-m", "smoke", "-p", "no:cacheprovider", "-q"])
main(["gate", "smoke", "--env", "dev"]); main(["override", "--help"]); sys.stdout.flush(); os.dup2(saved, 1)
for line in sys.stdin:
    asked = json.loads(line)
    out = asked["out"]
    child = os.fork()
    if child == 0:
        code = 70
        try:
            log = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(null, 0); os.dup2(log, 1); os.dup2(log, 2)
            os.chdir(asked["folder"]); os.environ.clear(); os.environ.update(asked["env"])
            sys.path.insert(0, asked["folder"]); sys.dont_write_bytecode = True
            shift = asked["shift"]
            words = asked["words"]
            code = pytest.main(words[1:]) if words[0] == "pytest" else main(words)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            sys.stdout.flush(); sys.stderr.flush(); os._exit(int(code))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
_CHECKS = """\
import os
from dataclasses import dataclass
from pytest_prodcheck import Deadline, check, collector, judge
@dataclass(frozen=True)
class Fact:
    value: float
@collector("fact", settings={"value": float})
def gather_fact(settings: dict[str, object], deadline: Deadline) -> Fact:
    return Fact(float(str(settings["value"])))
@check("t.smoke.one", suite="smoke", severity="critical", needs={"fact": "fact"})
def test_one(fact):
    if os.environ.get("MODEL_DO") == "killed":
        os._exit(9)
    for name, text in __import__("json").loads(os.environ.get("MODEL_EDIT", "{}")).items():
        open(name, "w").write(text)
    judge("fact", fact.value, at_most=LIMIT)
@check("t.smoke.two", suite="smoke", severity="low", needs={"fact": "fact"})
def test_two(fact):
    judge("there", fact.value is not None)
"""
_EXTRA = """\
from pytest_prodcheck import check, judge
SUITE = "smoke"
@check("t.smoke.extra", suite=SUITE_HERE, severity="critical")
def test_extra():
    judge("extra", GOOD)
"""


def texts(files: Files) -> dict[str, str]:
    """The files as they lie in the folder; a name with an empty text is not there."""
    values = dict(files.values)
    revision = f'revision = "{files.written}"\n' if files.written else ""
    toml = 'version = 1\ninclude = ["conf/*.toml"]\nchecks = ["checks"]\n'
    for environment in ("dev", "prod"):
        toml += f"[environments.{environment}]\n{revision}"
        toml += f"[environments.{environment}.own.fact]\nvalue = {values[environment]}\n"
    absent = 'absent = ["services", "auth", "workflows", "postgres", "redis"]'
    toml += f"[environments.live]\n{revision}protected = true\n{absent}\n"
    toml += f"[environments.live.own.fact]\nvalue = {values['live']}\n"
    toml += '[gates.before]\nenvironments = ["prod"]\nselect = ["t.smoke.*"]\nneeds = [{ gate = "dev:smoke" }]\n'
    if files.waived:
        check = "t.smoke.one" if files.waived == "one" else "*"
        toml += f'[[waivers]]\ncheck = "{check}"\ntarget = "*"\nenvironment = "*"\nreason = "r"\nowner = "o"\n'
        toml += 'ticket = "T-1"\nexpires = 2999-01-01\n'
    hidden, place = files.extra == "suite hidden", files.extra in ("suite hidden", "not collected")
    extra = _EXTRA.replace("SUITE_HERE", "SUITE" if hidden else '"smoke"').replace("GOOD", str(files.extra == "passes"))
    return {
        "prodcheck.toml": toml,
        "conf/more.toml": f"# {files.included}\n",
        "checks/test_facts.py": f"LIMIT = {files.limit}\n{_CHECKS}",
        "checks/test_extra.py": extra if files.extra and not place else "",
        "checks/extra.py": extra if place else "",
        "checks/conftest.py": f"# {files.conftest}\n" if files.conftest else "",
        "checks/helper.py": f"# {files.helper}\n" if files.helper else "",
    }


class Commands:
    """The one process that all commands are forked from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PRODCHECK", "COV"))}
        code = os.environ.get("PRODCHECK_MODEL_CODE", str(Path(__file__).parents[2]))
        self.env = {**kept, "PYTHONPATH": code, "XDG_STATE_HOME": str(folder / "state")}
        words = [sys.executable, "-c", _SERVER]
        self.process = subprocess.Popen(
            words, cwd=folder, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, folder: Path, shift: float, env: dict[str, str], *words: str) -> int:
        """Runs one command and returns its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        out = str(self.folder / "last.txt")
        asked = {"folder": str(folder), "shift": shift, "env": {**self.env, **env}, "words": words, "out": out}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def said(self) -> str:
        """What the last command wrote."""
        return (self.folder / "last.txt").read_text(errors="replace")

    def close(self) -> None:
        """Ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


class RealProject:
    """The folder."""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self.folder, self.commands, self.number = folder, commands, 0
        folder.mkdir(parents=True)

    def put(self, files: Files) -> None:
        """Makes the files say so; the state stays."""
        for name, text in texts(files).items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            if not text:
                path.unlink(missing_ok=True)
            elif not path.exists() or path.read_text() != text:
                path.write_text(text)

    def move(self) -> None:
        """The state goes to another checkout of the same files."""
        self.number += 1
        other = self.folder.with_name(f"{self.folder.name.partition('-')[0]}-{self.number}")
        shutil.copytree(self.folder, other)
        self.folder = other

    def run(self, shift: float, environment: str, given: str | None, env: dict[str, str], meddled: str) -> int:
        words = ["pytest", "--env", environment, "--gate", GATES[environment], "--prodcheck-select", "-q"]
        words += ["-p", "no:randomly", "-p", "no:cacheprovider"]
        words += ["--revision", given] if given is not None else []
        words += ["-k", "two"] if meddled == "narrowed" else []
        return self.commands(self.folder, shift, {**env, "MODEL_DO": meddled}, *words)

    def ask(self, shift: float, how: str, environment: str, given: str | None, env: dict[str, str]) -> int:
        words = [how, GATES[environment], "--env", environment]
        words += ["--revision", given] if given is not None else []
        words += {"exec": ["--", "true"], "gate": []}.get(how, ["--reason", "r", "--ticket", "T-1", "--for", "30m"])
        return self.commands(self.folder, shift, env, *words)
