"""Switching faults of a system, and the channel for it: a JSON document a line over a unix socket of this user."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from pytest_prodcheck.demo.faults import checked
from pytest_prodcheck.demo.runtime import folders
from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.switches.table import SWITCHES
from pytest_prodcheck.demo.system import System


class Control:
    """Starts a system with faults, and changes them. faults: those that are on, in the order of switching."""

    def __init__(self, system: System) -> None:
        self.faults: tuple[str, ...] = ()
        self._system = system
        self._changing = threading.Lock()

    def start(self, faults: Iterable[str] = ()) -> None:
        """Brings the system up in threads, switches the faults on, then lets the system's `done` be set."""
        self._system.start(finish=lambda: self.set_faults(faults))

    def set_faults(self, names: Iterable[str]) -> None:
        """Makes exactly these faults be on; DemoError where one cannot be switched (those before it are)."""
        wanted = checked(names)
        with self._changing:
            self._system.web.shop.throttle.reset()  # it counts what is tried from here on
            for name in [name for name in reversed(self.faults) if name not in wanted]:
                SWITCHES[name].off(self._system)
                self.faults = tuple(one for one in self.faults if one != name)
            for name in wanted:
                if name not in self.faults:
                    self.faults = (*self.faults, name)
                    SWITCHES[name].on(self._system)

    def serve(self) -> None:
        """Answers on a unix socket of mode 0600 until the process ends."""
        before = os.umask(0o177)
        try:
            server = _Server(str(self._system.place / folders.CONTROL), _Handler)
        finally:
            os.umask(before)
        server.control = self
        threading.Thread(target=server.serve_forever, args=(0.2,), name="control", daemon=True).start()

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What is sent back for one request."""
        what, system = asked.get("do"), self._system
        if what == "stop":
            system.ended.set()
            return {}
        if what not in ("wait", "faults"):
            return {"error": f"unknown request {what!r}"}
        ready = system.done.wait(float(asked.get("timeout", 30)))
        if system.failed:
            return {"error": f"the demo did not come up: {'; '.join(system.failed)}"}
        if not ready:
            return {"error": "the demo is not up yet"}
        if what == "faults":
            self.set_faults(asked["names"])
        return {"faults": list(self.faults)}


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    control: Control


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        try:
            answer = self.server.control.answer(json.loads(self.rfile.readline(65536)))
        except DemoError as error:
            answer = {"error": str(error)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        with suppress(OSError):  # whoever asked may be gone
            self.wfile.write(json.dumps(answer).encode() + b"\n")
