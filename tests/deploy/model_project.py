"""A project whose copies and gates are a model."""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.cli import deploy as command
from pytest_prodcheck.deploy import deployment
from pytest_prodcheck.deploy.deployer import CanaryComparison, Deployer
from pytest_prodcheck.deploy.drivers import Driver
from pytest_prodcheck.deploy.gate_client import GateAnswer, GateClient
from pytest_prodcheck.deploy.plan import Plan
from pytest_prodcheck.deploy.programs import ProgramRunner
from tests.deploy.model import NEW, ModelDriver, ModelGates, reality

TOML = """\
version = 1
project = "t"
[environments.production]
[environments.production.slots]
blue  = { connect_to = "127.0.0.1:1" }
green = { connect_to = "127.0.0.1:2" }
[environments.production.deploy]
strategy = "blue-green"
slots    = ["blue", "green"]
monitor  = "1ms"
every    = "1ms"
[environments.production.deploy.commands]
copy  = { start = ["x"], stop = ["x"], observe = ["x"] }
share = { do = ["x"], observe = ["x"] }
"""


class Here:
    """A project whose copies and gates are a model."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.real = folder, reality("blue-green")
        self.gates = ModelGates(self.real)
        (folder / "prodcheck.toml").write_text(TOML)
        here = self

        class OverTheModel(deployment.Deployment):
            def _gates(self, plan: Plan, runner: ProgramRunner) -> GateClient:
                return here.gates

            def _comparison(self, plan: Plan) -> CanaryComparison:
                return here.gates

            def _driver(self, lock: int, revision: str = "") -> Driver:
                return ModelDriver(here.real)

            def _deployer(self, *words: Any) -> Deployer:
                made = super()._deployer(*words)
                made.pause = lambda seconds, remaining: None
                return made

        monkeypatch.setattr(deployment, "Deployment", OverTheModel)
        monkeypatch.chdir(folder)

    def call(self, *words: str) -> int:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return command.main(parser.parse_args(["--env", "production", *words]))

    def deploy(self, revision: str = NEW, *words: str) -> int:
        return self.call("--revision", revision, "--auto-approve", *words)

    def at_ask(self, number: int, act: Callable[[], None]) -> None:
        """Has something happen as a gate is asked for the time with this number, from 1."""
        true, calls = ModelGates.ask, iter(range(1, 10**6))

        def ask(*words: Any, **named: Any) -> GateAnswer:
            if next(calls) == number:
                act()
            return true(self.gates, *words, **named)

        self.gates.ask = ask  # type: ignore[method-assign]

    def events(self) -> list[tuple[str, str]]:
        database = self.folder / ".prodcheck" / "events.db"
        if not database.exists():
            return []
        connection = sqlite3.connect(database)
        rows = connection.execute("select kind, revision from events order by at").fetchall()
        connection.close()
        return rows
