"""The demo's process: `python -m pytest_prodcheck.demo`, started by `start()`.

It prints one JSON line as soon as ports and configuration are known, and ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

from pytest_prodcheck.demo.control import Control
from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.system import System, redirect_output


def _watch_parent(system: System, parent: int) -> None:
    """Ends the demo when its starter is gone: its pipe ends, or it is no longer our parent."""

    def pipe() -> None:
        while os.read(0, 1024):
            pass
        system.ended.set()

    def changes() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        system.ended.set()

    for watch in (pipe, changes):
        threading.Thread(target=watch, daemon=True).start()


def run(names: list[str]) -> int:
    """Runs a demo until it is told to stop, or its starter ends."""
    parent = os.getppid()
    try:
        system = System(foreground=False)
        control = Control(system)
    except (DemoError, OSError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: system.ended.set())
    try:
        card = system.prepare()
        control.serve()
        _watch_parent(system, parent)
        control.start(names)
        print(json.dumps(card), flush=True)
        redirect_output(system.place)
        system.ended.wait()
    except (DemoError, OSError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 2
    finally:
        system.stop()
    return 0


if __name__ == "__main__":
    os.umask(os.umask(0o022) | 0o022)  # nobody else writes what the demo and its servers make
    code = run(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # at once: threads that serve or wait for a server hold nothing worth waiting for
