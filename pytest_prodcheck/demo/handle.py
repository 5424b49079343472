"""Starting, finding, changing and stopping a demo from outside. Standard library only, for it is imported early."""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from pytest_prodcheck.demo.faults import checked
from pytest_prodcheck.demo.runtime import folders
from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.runtime.packages import need_packages

ENVIRONMENT = "PRODCHECK_DEMO_FAULTS"


class Demo:
    """A demo system that runs, or is coming up.

    configuration: its prodcheck.toml. owned: whether this process started it; one that was found belongs to somebody
    else, and `stop` leaves it alone. log: where its process writes what went wrong.
    """

    def __init__(self, card: dict[str, Any], process: subprocess.Popen[bytes] | None = None) -> None:
        self.configuration = Path(card["configuration"])
        self.log = Path(card["log"])
        self.url = str(card["url"])
        self.pid = int(card["pid"])
        self.owned = process is not None
        self._control = str(card["control"])
        self._process = process
        self._ready_timeout = 30.0
        self._stopping = threading.Lock()
        if process:
            atexit.register(self.stop)

    def wait_ready(self, timeout: float | None = None) -> None:
        """Waits until everything answers, at most `timeout` seconds (default: that of `start`); DemoError otherwise."""
        seconds = self._ready_timeout if timeout is None else timeout
        self._ask({"do": "wait", "timeout": seconds}, seconds + 5)

    def set_faults(self, names: Iterable[str]) -> None:
        """Makes exactly these faults be on; returns when they are in effect; DemoError where one cannot be."""
        self._ask({"do": "faults", "names": list(checked(names)), "timeout": self._ready_timeout}, 90)

    def stop(self) -> None:
        """Ends the system and all that belongs to it; nothing happens for one that is not owned, or the second time."""
        with self._stopping:
            process, self._process = self._process, None
            if process is None:
                return
            atexit.unregister(self.stop)
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()  # the end of its standard input tells it to end
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
                folders.sweep()

    def _ask(self, question: dict[str, Any], timeout: float) -> dict[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(timeout)
                sock.connect(self._control)
                sock.sendall(json.dumps(question).encode() + b"\n")
                with sock.makefile("rb") as file:
                    line = file.readline()
        except TimeoutError:
            raise DemoError(f"the demo did not answer within {timeout:.0f} s; its log: {self.log}") from None
        except OSError as trouble:
            raise DemoError(f"the demo is not running any more ({trouble.strerror}): start it again") from None
        if not line:
            raise DemoError(f"the demo ended while it was asked; its log: {self.log}")
        answer: dict[str, Any] = json.loads(line)
        if error := answer.get("error"):
            raise DemoError(f"{error} (log: {self.log})")
        return answer

    def __enter__(self) -> Demo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(faults: Iterable[str] = (), ready_timeout: float = 30) -> Demo:
    """Starts a demo in a process of its own; returns when its configuration is known, while it is coming up.

    Faults of PRODCHECK_DEMO_FAULTS (comma-separated) are added. DemoError for unknown faults, missing packages or
    servers.
    """
    names = checked([*faults, *from_environment()])
    need_packages()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_prodcheck.demo", *names],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    card = _first_line(process, 20)
    if "error" in card:
        process.kill()
        process.communicate()
        raise DemoError(str(card["error"]))
    demo = Demo(card, process)
    demo._ready_timeout = ready_timeout
    return demo


def _first_line(process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    """The card that the process prints, or its error."""
    assert process.stdout
    output, text = process.stdout.fileno(), b""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([output], [], [], max(0, end - time.monotonic()))[0]:
            break
        data = os.read(output, 65536)
        text += data
        for line in text.split(b"\n")[:-1]:
            if line.startswith(b"{"):
                card: dict[str, Any] = json.loads(line)
                return card
        if not data:
            return {"error": f"the demo's process ended at once: {text.decode(errors='replace')[-800:].strip()}"}
    return {"error": f"the demo's process said nothing for {seconds:.0f} s"}


def from_environment() -> list[str]:
    """The faults that PRODCHECK_DEMO_FAULTS names."""
    return [name.strip() for name in os.environ.get(ENVIRONMENT, "").split(",") if name.strip()]


def find_running() -> Demo | None:
    """The demo that this user started in the foreground (the newest one), None where there is none."""
    for _, card in folders.running():
        if card.get("foreground"):
            return Demo(card)
    return None


def run_foreground(faults: Iterable[str] = ()) -> int:
    """Runs a demo in this process until Ctrl-C; prints what is where. Returns 0, or 2 where it does not come up."""
    from pytest_prodcheck.demo.foreground import run

    return run(checked([*faults, *from_environment()]))


def show_deployments() -> int:
    """Deploys twice to two copies behind a real HAProxy: one canary succeeds, one is rolled back."""
    from pytest_prodcheck.demo.deploying.show import run

    return run()


__all__ = ["Demo", "DemoError", "find_running", "run_foreground", "show_deployments", "start"]
