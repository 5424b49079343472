"""`prodcheck demo`: a demo in the foreground, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable

from pytest_prodcheck.demo.control import Control
from pytest_prodcheck.demo.runtime.errors import DemoError
from pytest_prodcheck.demo.runtime.packages import need_packages
from pytest_prodcheck.demo.system import System


def run(faults: Iterable[str]) -> int:
    """Runs until Ctrl-C or SIGTERM; returns 0, or 2 where it does not come up."""
    try:
        need_packages()
        system = System(foreground=True)
        control = Control(system)
    except (DemoError, OSError) as error:
        print(f"prodcheck demo: {error}", file=sys.stderr)
        return 2
    before = {
        number: signal.signal(number, lambda *_: system.ended.set())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        card = system.prepare()
        control.serve()
        control.start(faults)
        while not system.done.wait(0.1) and not system.ended.is_set():
            pass
        if system.failed:
            raise DemoError("; ".join(system.failed))
        if not system.ended.is_set():
            print(_text(system, card, control.faults), flush=True)
        while not system.ended.wait(3600):
            pass
    except (DemoError, OSError) as error:
        print(f"prodcheck demo: {error}", file=sys.stderr)
        return 2
    finally:
        system.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _text(system: System, card: dict[str, object], faults: tuple[str, ...]) -> str:
    ports = system.ports
    return f"""\
The demo system is up (faults on: {", ".join(faults) or "none"}):
  shop        {card["url"]}  on {" and ".join(one.address[0] for one in system.https)}, CA {system.place / "ca.pem"}
  names       127.0.0.1:{ports.dns} (UDP)
  queue       127.0.0.1:{ports.queue}
  PostgreSQL  127.0.0.1:{ports.db_1} and :{ports.db_2}, writer :{ports.db_rw}
  Redis       127.0.0.1:{ports.cache_1} and :{ports.cache_2}
Configuration and passwords: {system.place}
Point pytest at it from another terminal (it is found by itself):
  pytest -m smoke --env demo
Ctrl-C ends it."""
