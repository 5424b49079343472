"""A real project folder, and real commands in processes forked from one that has loaded them already."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.gates.model_world import GATES, Files

OPTIONS = ("-q", "-p", "pytest_prodcheck.plugin", "-p", "no:cacheprovider")
_SERVER = """
import json, os, sys, time
from importlib import metadata
real, shift = time.time, 0.0
time.time = lambda: real() + shift
import pytest
from pytest_prodcheck.cli import main
os.fsync = lambda file: None  # nobody cuts the power here
known = tuple(metadata.distributions())
points = {id(each): each.entry_points for each in known}
metadata.distributions = lambda **about: iter(known)
metadata.Distribution.entry_points = property(lambda each: points[id(each)])
if os.fork() == 0:
    os.execv(sys.executable, [sys.executable, "-c", "pass"])
os.wait()
null = os.open(os.devnull, os.O_RDWR)
saved = os.dup(1); os.dup2(null, 1)
loaded, path = set(sys.modules), list(sys.path)
os.chdir("warm")
for env, gate in (("dev", "smoke"), ("prod", "before")):
    pytest.main(["--env", env, "--gate", gate, "--prodcheck-select", *sys.argv[1:]])
    main(["gate", gate, "--env", env])
main(["exec", "smoke", "--env", "dev", "--", "true"])
main(["override", "smoke", "--env", "dev", "--reason", "r", "--ticket", "T-1", "--for", "30m"])
for name in set(sys.modules) - loaded:
    if (getattr(sys.modules[name], "__file__", None) or "").startswith(os.getcwd()):
        del sys.modules[name]
sys.path[:] = path; sys.path_importer_cache.clear()
os.chdir(".."); sys.stdout.flush(); os.dup2(saved, 1)
import gc; gc.collect(); gc.freeze(); gc.disable()
later = []
for line in sys.stdin:
    asked = json.loads(line)
    out = asked["out"]
    child = os.fork() if asked["words"] else later.pop()
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
            sys.stdout.flush(); sys.stderr.flush()
            if asked["later"]:
                open("../reached", "w").close()
            os._exit(int(code))
    if asked["later"]:
        later.append(child)
        while not os.path.exists(asked["folder"] + "/../reached"):
            time.sleep(0.003)
        print(0, flush=True)
        continue
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
    while os.environ.get("MODEL_DO") == "waits" and not os.path.exists("../go"):
        open("../reached", "w").close()
        __import__("time").sleep(0.003)
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
    toml += '[gates.smoke]\nwithout = ["smoke.*"]\n'  # of the suite what is the project's own: a third of the time
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
        self.env = {**kept, "PYTHONPATH": code, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        for name, text in texts(Files()).items():  # what is loaded late is loaded before anything is forked
            path = folder / "warm" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            for name_there, instead in (('("fact"', '("warmth"'), ('"fact"}', '"warmth"}'), ("own.fact", "own.warmth")):
                text = text.replace(name_there, instead)
            path.write_text(text)
        words = [sys.executable, "-c", _SERVER, *OPTIONS]
        self.process = subprocess.Popen(
            words, cwd=folder, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, folder: Path, shift: float, env: dict[str, str], *words: str, later: bool = False) -> int:
        """Runs one command and returns its exit code; no words: of the one that was to end later."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        out = str(self.folder / "last.txt")
        env = {**self.env, "XDG_STATE_HOME": str(folder.parent / "state"), **env}
        asked = {"folder": str(folder), "shift": shift, "env": env, "words": words, "out": out, "later": later}
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
    """The folders: checkouts, in one of which all happens."""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self.top, self.commands, self.place, self.kept = folder, commands, 0, 0
        self.folder.mkdir(parents=True)

    @property
    def folder(self) -> Path:
        """The checkout in which all happens."""
        return self.top / str(self.place)

    @property
    def state(self) -> Path:
        """Verdicts, tickets, overrides, the key."""
        return self.folder / ".prodcheck"

    def put(self, files: Files) -> None:
        """Makes the files say so; the state stays."""
        for name, text in texts(files).items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            if not text:
                path.unlink(missing_ok=True)
            elif not path.exists() or path.read_text() != text:
                path.write_text(text)

    def go(self, place: int, carry: bool) -> None:
        """To another checkout, at first a copy of this one; carry: with the state of this one."""
        before, state = self.folder, self.state
        self.place = place
        if not self.folder.exists():
            shutil.copytree(before, self.folder)
        elif carry and state != self.state:
            self.put_back(state)

    def remove(self) -> None:
        """All of it."""
        shutil.rmtree(self.top)

    def keep(self) -> Path:
        """A copy of the state, for later."""
        self.kept += 1
        kept = self.top / f"kept-{self.kept}"
        shutil.copytree(self.state, kept) if self.state.exists() else kept.mkdir()
        return kept

    def put_back(self, kept: Path, what: str = "") -> None:
        """The state, or a folder or file of it, is that of then."""
        old, new = kept / what, self.state / what
        shutil.rmtree(new) if new.is_dir() else new.unlink(missing_ok=True)
        if old.is_dir():
            shutil.copytree(old, new)
        elif old.exists():
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(old, new)

    def begin(self, shift: float, environment: str, given: str | None, env: dict[str, str]) -> None:
        """A run that does not end before `end`."""
        self._run(shift, environment, given, {**env, "MODEL_DO": "waits"}, later=True)

    def end(self) -> None:
        """Lets the run end that has begun."""
        (self.top / "go").touch()
        self.commands(self.folder, 0.0, {})
        for name in ("go", "reached"):
            (self.top / name).unlink()

    def run(self, shift: float, environment: str, given: str | None, env: dict[str, str], meddled: str) -> None:
        """A whole run, or what was left of it."""
        narrowed = ("-k", "two") if meddled == "narrowed" else ()
        self._run(shift, environment, given, {**env, "MODEL_DO": meddled}, *narrowed)

    def _run(
        self, shift: float, environment: str, given: str | None, env: dict[str, str], *more: str, later: bool = False
    ) -> None:
        words = ["pytest", "--env", environment, "--gate", GATES[environment], "--prodcheck-select", *OPTIONS, *more]
        words += ["--revision", given] if given is not None else []
        self.commands(self.folder, shift, env, *words, later=later)

    def ask(self, shift: float, how: str, environment: str, given: str | None, env: dict[str, str]) -> int:
        words = [how, GATES[environment], "--env", environment]
        words += ["--revision", given] if given is not None else []
        words += {"exec": ["--", "true"], "gate": []}.get(how, ["--reason", "r", "--ticket", "T-1", "--for", "30m"])
        return self.commands(self.folder, shift, env, *words)
