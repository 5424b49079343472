"""Another user of the machine joins a load as a Locust worker: he gets no plan (it holds tokens) and costs nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from pytest_prodcheck.evidence.load import process
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.load.servers import server
from tests.evidence.load.test_load import context_of, run_of

HERE = importlib.util.find_spec("locust") is not None  # never imported here: it patches the whole process
pytestmark = pytest.mark.skipif(not HERE, reason="install it: pip install 'pytest-prodcheck[load]'")
TOKEN = "SECRET-ROLE-TOKEN-4711"
INTRUDER = """
import sys, time, msgpack, zmq
port, curve = int(sys.argv[1]), sys.argv[2]
s = zmq.Context().socket(zmq.DEALER)
s.setsockopt(zmq.IDENTITY, b"evil_1")
s.setsockopt(zmq.RCVTIMEO, 300)
s.setsockopt(zmq.LINGER, 0)
if curve:  # speaks the protocol, with a key of its own
    public, secret = zmq.curve_keypair()
    s.setsockopt(zmq.CURVE_SERVERKEY, public)
    s.setsockopt(zmq.CURVE_PUBLICKEY, public)
    s.setsockopt(zmq.CURVE_SECRETKEY, secret)
s.connect("tcp://127.0.0.1:%d" % port)
pack = lambda kind, data: msgpack.dumps((kind, data, "evil_1"))
s.send(pack("client_ready", "2.47.0"))
until = time.time() + float(sys.argv[3])
while time.time() < until:
    try:
        s.send(pack("prodcheck-ready", {"node": "evil_1"}), zmq.NOBLOCK)
        s.send(pack("heartbeat", {"state": "ready", "current_cpu_usage": 1, "current_memory_usage": 1}), zmq.NOBLOCK)
        for order in ("quit", "client_stopped", "exception", "stats", "prodcheck-end"):
            s.send(pack(order, {"index": 0, "msg": "x", "traceback": "x"}), zmq.NOBLOCK)
        print("got", s.recv(), flush=True)
    except zmq.Again:
        continue
"""


MASTER = """
import sys, time, zmq
s = zmq.Context().socket(zmq.ROUTER)
s.setsockopt(zmq.RCVTIMEO, 100)
s.setsockopt(zmq.LINGER, 0)
if sys.argv[2]:
    s.setsockopt(zmq.CURVE_SERVER, 1)
    s.setsockopt(zmq.CURVE_SECRETKEY, zmq.curve_keypair()[1])
s.bind("tcp://127.0.0.1:%d" % int(sys.argv[1]))
print("there", flush=True)
while True:
    try:
        print("got", s.recv_multipart(), flush=True)
    except zmq.Again:
        continue
"""


@pytest.mark.parametrize("curve", ["", "curve"], ids=["plain", "with a key of his own"])
def test_an_intruder_who_has_the_port_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, curve: str) -> None:
    """Nobody's worker takes orders from him or tells him anything; the load cannot be run."""
    port = process._free_port()
    monkeypatch.setattr(process, "_free_port", lambda: port)
    with subprocess.Popen(
        [sys.executable, "-c", MASTER, str(port), curve], stdout=subprocess.PIPE, text=True
    ) as intruder, server() as (there, truth):  # fmt: skip
        assert intruder.stdout is not None
        assert intruder.stdout.readline() == "there\n"
        with pytest.raises(EvidenceProblem, match="left no result"):
            run_of(context_of(tmp_path, there, workers=2, duration="3s"))
        intruder.kill()
        assert intruder.stdout.read() == ""
    assert truth.requests == 0


@pytest.mark.parametrize("curve", ["", "curve"], ids=["plain", "with a key of his own"])
def test_an_intruder_on_the_master_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, curve: str) -> None:
    outputs: list[str] = []
    port = process._free_port()
    monkeypatch.setattr(process, "_free_port", lambda: port)

    def intrude() -> None:
        words = [sys.executable, "-c", INTRUDER, str(port), curve, "6"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        outputs.append(done.stdout + done.stderr)

    thread = threading.Thread(target=intrude)
    thread.start()
    with server() as (there, truth):
        context = context_of(tmp_path, there, workers=2, duration="3s")
        service = context.environment.services["api"].model_copy(update={"headers": {"X-Token": TOKEN}})
        context.environment = context.environment.model_copy(update={"services": {"api": service}})
        run = run_of(context)
    thread.join(60)
    assert truth.requests == run.begun == run.overall.good == 300
    assert len(run.workers) == 2
    assert outputs == [""]


def test_workers_elsewhere_without_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRODCHECK_LOAD_SECRET", raising=False)
    context = context_of(tmp_path, 1, expect_workers=2, bind="127.0.0.1:1")
    with pytest.raises(EvidenceProblem, match="PRODCHECK_LOAD_SECRET"):
        run_of(context)
    words = [sys.executable, "-m", "pytest_prodcheck.load.worker", "127.0.0.1:1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "PRODCHECK_LOAD_SECRET" in done.stderr


def test_the_secret_is_in_no_command_line_or_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only in a file of mode 0600 in a folder of mode 0700."""
    seen: list[bytes] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # other loads write into /tmp

    def look() -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until and not seen:
            for folder in tmp_path.glob("prodcheck-load-*/secret"):
                secret = folder.read_bytes()
                if len(secret) == 64:
                    assert folder.stat().st_mode & 0o077 == 0
                    assert folder.parent.stat().st_mode & 0o077 == 0
                    seen.append(secret)
            time.sleep(0.02)

    thread = threading.Thread(target=look)
    thread.start()
    with server() as (there, _):
        run = run_of(context_of(tmp_path, there, workers=2))
    thread.join(30)
    assert run.overall.failed == 0
    assert len(seen) == 1
