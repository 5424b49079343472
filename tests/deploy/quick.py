"""Deployers in processes of their own that can be killed; their gates ask the copies themselves, in milliseconds.

A real gate takes a second of processor; `test_cli.py` has those. Journal, lock, keeper, HAProxy and copies are real.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path

from pytest_prodcheck.deploy.commands_driver import ProgramCopies
from pytest_prodcheck.deploy.deployer import CanaryComparison
from pytest_prodcheck.deploy.deployment import Deployment, DeployOptions
from pytest_prodcheck.deploy.drivers import Driver
from pytest_prodcheck.deploy.gate_client import GateAnswer, GateClient
from pytest_prodcheck.deploy.haproxy_driver import HaproxyDriver
from pytest_prodcheck.deploy.plan import Plan
from pytest_prodcheck.deploy.programs import ProgramRunner
from tests.deploy.model import Quiet
from tests.forked import FORKING


def asked(port: int, path: str) -> tuple[int, str]:
    """Status and revision of one answer; (0, "") where there is none."""
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, str(json.loads(answer.read())["revision"])
    except (OSError, ValueError, http.client.HTTPException):
        return 0, ""


class HttpGates:
    """The gate `here`: healthy, and of the revision. `before`: healthy."""

    def __init__(self, ports: dict[str, int], port: int) -> None:
        self._ports, self._port = ports, port

    def ask(self, gate: str, slot: str, revision: str, wait: float = 0.0) -> GateAnswer:
        port = self._ports[slot] if slot else self._port
        told = [asked(port, "/healthz") for _ in range(3)]
        good = all(status == 200 and (gate == "before" or shown == revision) for status, shown in told)
        return GateAnswer(0 if good else 1, str(told))


class FewErrors:
    """Compares by thirty requests, on a machine however busy; `test_traffic.py` has the real comparison beside it."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._ports = ports

    def compare(self, slot: str, baseline: str, repetition: int) -> GateAnswer:
        failed = sum(asked(self._ports[slot], "/product")[0] != 200 for _ in range(30))
        return GateAnswer(1 if failed > 3 else 0, f"{failed} of 30 failed")


class QuickCopies(ProgramCopies):
    """Observes without a program; starts and stops by the team's programs, under the keeper."""

    ports: dict[str, int]

    def revisions(self) -> dict[str, str]:
        told = {slot: asked(port, "/version") for slot, port in self.ports.items()}
        return {slot: revision if status == 200 else "" for slot, (status, revision) in told.items()}


class QuickDeployment(Deployment):
    def _site(self) -> tuple[dict[str, int], int]:
        ports = json.loads((self.configuration.root / "site.json").read_text())["ports"]
        return ports, int(self.environment.services["shop"].url.rpartition(":")[2])

    def _gates(self, plan: Plan, runner: ProgramRunner) -> GateClient:
        return HttpGates(*self._site())

    def _comparison(self, plan: Plan) -> CanaryComparison:
        return FewErrors(self._site()[0])

    def _driver(self, lock: int, revision: str = "") -> Driver:
        found = super()._driver(lock, revision)
        assert isinstance(found, HaproxyDriver)
        found._copies.__class__ = QuickCopies
        found._copies.ports = self._site()[0]  # type: ignore[attr-defined]
        return found


def carry_out(folder: str, revision: str, verb: str) -> None:
    """Ends the process with the exit code; anything unforeseen is 21, as the command line has it."""
    code, reporter = 21, Quiet()
    try:
        os.chdir(folder)
        made = QuickDeployment(DeployOptions("production", revision=revision or None), Path(folder), reporter)
        code = {"deploy": lambda: made.deploy("a test", None, ""), "resume": made.resume, "undo": made.undo}[verb]()
    except Exception as error:
        code = getattr(error, "code", 21)
        reporter.message(f"{verb}: {error!r}")
    finally:
        with Path(folder, "trouble.log").open("a") as log:
            log.write("\n".join([*reporter.lines, f"{verb} {revision}: {code}\n\n"]))
        os._exit(code)


def deployer(folder: Path, revision: str, verb: str = "deploy") -> BaseProcess:
    """One that runs."""
    process = FORKING.Process(target=carry_out, args=(str(folder), revision, verb))
    process.start()
    return process


def ended(process: BaseProcess, seconds: float = 300) -> int:
    process.join(seconds)
    assert process.exitcode is not None, "it does not end"
    return process.exitcode


def killed_after(process: BaseProcess, seconds: float) -> bool:
    """Whether it was killed; one that was quicker was not."""
    end = time.monotonic() + seconds
    while process.is_alive() and time.monotonic() < end:
        time.sleep(0.002)
    alive = process.is_alive()
    process.kill()
    process.join(30)
    return alive
