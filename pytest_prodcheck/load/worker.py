"""A worker on another machine: `python -m pytest_prodcheck.load.worker HOST:PORT [LOCUSTFILE]`.

Waits for the run that declares `expect_workers` and `bind`, takes its part, and ends. The plan it is sent holds the
tokens of the roles, so both sides share a secret, PRODCHECK_LOAD_SECRET: it encrypts, and keeps other workers out.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def words(address: str, locustfile: str = "") -> list[str]:
    """The command line of Locust's worker."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"expected HOST:PORT such as 10.0.0.5:5557, not {address!r}")
    files = f"{_HERE / 'listener.py'},{locustfile}" if locustfile else str(_HERE / "driver.py")
    return [
        sys.executable, "-m", "locust", "-f", files, "--worker", "--master-host", host.strip("[]"),
        "--master-port", port, "--loglevel", "WARNING",
    ]  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m pytest_prodcheck.load.worker HOST:PORT [LOCUSTFILE]")
    command = words(*sys.argv[1:])
    os.execv(command[0], command)
