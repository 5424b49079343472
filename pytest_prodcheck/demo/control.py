"""The control channel: one JSON document a line over a unix socket in the demo's folder, which is this user's alone."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.demo.runtime.errors import DemoError

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    system: System


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        try:
            asked = json.loads(self.rfile.readline(65536))
            answer = _answer(self.server.system, asked)
        except DemoError as error:
            answer = {"error": str(error)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        with suppress(OSError):  # whoever asked may be gone
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def _answer(system: System, asked: dict[str, Any]) -> dict[str, Any]:
    what = asked.get("do")
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
        system.set_faults(asked["names"])
    return {"faults": list(system.faults)}


def serve(system: System, path: Path) -> None:
    """Answers on a unix socket of mode 0600 until the process ends."""
    before = os.umask(0o177)
    try:
        server = _Server(str(path), _Handler)
    finally:
        os.umask(before)
    server.system = system
    threading.Thread(target=server.serve_forever, args=(0.2,), name="control", daemon=True).start()
