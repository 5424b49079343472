"""What prodcheck.toml and its programs may say: shells, steps, other users' programs, garbage, too much of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pytest_prodcheck.deploy import programs
from pytest_prodcheck.deploy.canary_analysis import compare_samples
from pytest_prodcheck.deploy.canary_requests import RequestSampler
from pytest_prodcheck.deploy.commands_driver import CommandsDriver, DriverPrograms
from pytest_prodcheck.deploy.drivers import DriverContext, DriverProblem
from pytest_prodcheck.deploy.programs import ProgramResult, ProgramRunner
from pytest_prodcheck.environments.sections.deploy import CopyCommands, Deploy, DeployAnalysis
from tests.deploy.model import NEW, settings
from tests.deploy.model_project import TOML, Here


def test_a_program_that_says_too_much_or_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_MAX_OUTPUT_BYTES", 10_000)
    monkeypatch.setattr(programs, "_POLL_INTERVAL", 0.05)
    env = {"PATH": os.environ["PATH"]}
    said = ProgramRunner(tmp_path).run(["yes"], 60, env)
    assert (said.code, said.text.endswith("it printed more than 0 MiB")) == (143, True)
    long = ProgramRunner(tmp_path).run(["true", "x" * 10_000_000], 60, env)
    assert (long.code, "cannot be started" in long.text) == (127, True)
    binary = ProgramRunner(tmp_path).run(["head", "-c", "1000", "/dev/urandom"], 60, env)
    assert binary.code == 0


def test_a_program_of_another_user_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.sh").write_text("#!/bin/sh\necho run\n")
    (tmp_path / "x.sh").chmod(0o755)
    site = DriverContext(settings("blue-green"), tmp_path, "", (), ProgramRunner(tmp_path))
    assert DriverPrograms(site).run(["./x.sh"], 20) == "run\n"
    if os.geteuid() == 0:
        os.chown(tmp_path / "x.sh", 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(DriverProblem, match="belongs to another user"):
        DriverPrograms(site).run(["./x.sh"], 20)


GARBAGE = {
    "nothing": "", "half": "blue 100\n", "a long number": f"blue {'9' * 5000}\ngreen 0\n",
    "negative": "blue 110\ngreen -10\n",
    "no ASCII": "blue \N{ARABIC-INDIC DIGIT THREE}\ngreen 97\n", "a share": "blue 0.5\ngreen 0.5\n",
    "no text": "\0\ufffd\ufffd\n", "much": "x y\n" * 10_000, "a long word": f"blue {'x' * 60_000}\ngreen 0\n",
    "twice": "blue 100\ngreen 0\ngreen 0\n", "JSON": '{"blue": 100, "green": 0}\n',
}  # fmt: skip


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_that_a_program_prints_is_one_short_message(what: str, tmp_path: Path) -> None:
    class Prints(ProgramRunner):
        def run(self, command: Sequence[str], seconds: float, env: Mapping[str, str]) -> ProgramResult:
            return ProgramResult(0, "blue r1\ngreen -\n" if command == ["x", "copies"] else GARBAGE[what])

    declared = settings("blue-green", commands={
        "copy": {"start": ("x",), "observe": ("x", "copies")}, "share": {"do": ("x",), "observe": ("x", "shares")},
    })  # fmt: skip
    with pytest.raises(DriverProblem, match=r"commands\.share\.observe") as error:
        CommandsDriver(DriverContext(declared, tmp_path, "", (), Prints(tmp_path))).observe()
    assert len(str(error.value)) < 500


def test_trouble_of_our_own_is_no_error_of_a_copy(capfd: pytest.CaptureFixture[str]) -> None:
    def ask() -> bool:
        calls[0] += 1
        if calls[0] > 20:
            raise RuntimeError("the client was closed")
        return True

    calls = [0]
    senders = {slot: [("shop.home", ask)] for slot in ("green", "blue")}
    found = RequestSampler(senders, DeployAnalysis(least=100, rate=1000), lambda number: None).run()
    assert found["green"].failed == found["blue"].failed == 0
    assert compare_samples(found["green"], found["blue"], DeployAnalysis(least=100), 1).code == 3
    assert "Traceback" not in capfd.readouterr().err


def program(*words: str) -> None:
    CopyCommands.model_validate({"start": words, "observe": ("x",)})


def test_nothing_is_filled_into_the_text_of_a_shell() -> None:
    for words in (("sh", "-c", "start {revision}"), ("/bin/bash", "-ec", "x {slot}"), ("sh", "-e", "-c", "{unit}")):
        with pytest.raises(ValueError, match="shell would execute"):
            program(*words)
    with pytest.raises(ValueError, match="NUL"):
        program("x", "a\0b")
    for good in (["sh", "-c", './x "$1"', "sh", "{revision}"], ["sh", "x.sh", "{slot}"], ["x", "-c", "{slot}"]):
        program(*good)


def test_copies_behind_one_address_are_refused(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    (here.folder / "prodcheck.toml").write_text(TOML.replace("127.0.0.1:2", "127.0.0.1:1"))
    assert here.deploy() == 2
    assert "go to the same address" in capsys.readouterr().out


ODD_STEPS: list[list[str]] = [
    [], ["0%", "100%"], ["10%"], ["10%", "10%", "100%"], ["50%", "10%", "100%"], ["0.5%", "100%"], ["10%", "101%"],
    ["nan%", "100%"], ["\N{ARABIC-INDIC DIGIT THREE}%", "100%"], ["100%"], ["60%", "100%"],
]  # fmt: skip


@pytest.mark.parametrize("steps", ODD_STEPS, ids=repr)
def test_steps_that_are_none(steps: list[str]) -> None:
    commands = {"copy": {"start": ("x",), "observe": ("x",)}, "share": {"do": ("x",), "observe": ("x",)}}
    there = {"strategy": "canary", "slots": ("blue", "green"), "commands": commands, "steps": steps}
    with pytest.raises(ValueError):
        Deploy.model_validate(there)


CANARY = """\
[environments.production.services.shop]
url = "http://127.0.0.1:9"
[environments.production.services.shop.endpoints]
"""


def test_each_endpoint_of_a_comparison_is_asked_often_enough(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoints = "".join(f'e{each} = {{ request = "GET /{each}", status = 200 }}\n' for each in range(21))
    text = TOML.replace('"blue-green"', '"canary"') + CANARY + endpoints
    path = here.folder / "prodcheck.toml"
    path.write_text(text.replace('every    = "1ms"', 'every    = "1ms"\nanalysis = { least = 100 }'))
    assert here.call("--revision", NEW, "--dry-run") == 2
    assert "100 requests are too few for 21 endpoints: each needs 5" in capsys.readouterr().out
