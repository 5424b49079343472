"""Runs Locust in a process group of its own, watches it, reads the files it leaves; its exit code proves nothing."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.child_processes import child_environment, end_with_us, python_path
from pytest_prodcheck.environments.queries import http_services
from pytest_prodcheck.evidence.load.address_renewal import AddressRenewal
from pytest_prodcheck.evidence.load.fingerprint import python_files
from pytest_prodcheck.evidence.load.token_renewal import Renewal
from pytest_prodcheck.evidence.tools.sanitizing import plain as plain_text
from pytest_prodcheck.load import curve_encryption
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.load import Load
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

LOOK = 0.1  # seconds between two looks
LARGEST = 64 * 1024 * 1024  # bytes of a file that is read
FOLDER = "PRODCHECK_LOAD"  # as in load/driver.py
_DRIVERS = Path(__file__).resolve().parent.parent.parent / "load"


@dataclass(frozen=True)
class LoadOutput:
    """What a load left behind: the result as written, the text of the histogram log."""

    result: dict[str, Any]
    log: str


def run(name: str, plan: Mapping[str, Any], load: Load, context: Context, deadline: Deadline) -> LoadOutput:
    """Runs a plan to its end; raises EvidenceProblem where it left no result."""
    if importlib.util.find_spec("locust") is None:
        hint = "pip install 'pytest-prodcheck[load]'"
        raise EvidenceProblem(Problem("missing-extra", f"load {name} needs Locust", hint))
    renewals = (Renewal(load, context, deadline), AddressRenewal(plan, context, deadline))
    folder = Path(tempfile.mkdtemp(prefix="prodcheck-load-"))
    try:
        file = folder / "plan.json"
        file.touch(mode=0o600)  # it holds tokens
        file.write_text(json.dumps(plan), encoding="utf-8")
        file = folder / curve_encryption.FILE
        file.touch(mode=0o600)
        file.write_text(_shared_secret(name, load), encoding="ascii")
        with _running_process(_command(plan, load, context), folder, context) as process:
            _wait_for_result(name, process, folder, renewals, context, deadline)
            problem = _last_words(folder, load, context)
        return LoadOutput(_read(name, folder, problem), _text(folder / "times.hlog"))
    finally:
        context.tell(name, "")
        shutil.rmtree(folder, ignore_errors=True)


def _shared_secret(name: str, load: Load) -> str:
    """What keeps everybody else's workers out; one of this run where all are on this machine."""
    if not load.expect_workers:
        return secrets.token_hex(32)
    found = os.environ.get(curve_encryption.SECRET, "")
    if len(found) < curve_encryption.SHORTEST or not found.isascii():
        what = f"load {name}: workers on other machines must authenticate: {curve_encryption.SECRET} is not set"
        hint = f"set it on all machines to the same secret of at least {curve_encryption.SHORTEST} ASCII characters"
        raise EvidenceProblem(Problem("configuration", what, hint))
    return found


def _command(plan: Mapping[str, Any], load: Load, context: Context) -> list[str]:
    count = plan["workers"]
    files = str(_DRIVERS / "driver.py")
    users, rate = count, count
    if load.locustfile is not None:
        context.relies_on(*python_files(context.root / load.locustfile))
        files = f"{_DRIVERS / 'listener.py'},{context.root / load.locustfile}"
        users, rate = load.users, load.spawn_rate
    words = [sys.executable, "-m", "locust", "-f", files, "--headless", "--only-summary", "--reset-stats"]
    words += ["-u", str(users), "-r", f"{rate:g}", "--stop-timeout", "0", "--loglevel", "WARNING"]
    if load.locustfile is not None and load.mix == {} and len(load.hosts) == 1:
        words += ["--host", load.hosts[0] if "://" in load.hosts[0] else _origin(load.hosts[0], context)]
    if load.expect_workers:
        host, _, port = (load.bind or "").rpartition(":")
        words += ["--master", "--expect-workers", str(count), "--expect-workers-max-wait", "30"]
        words += ["--master-bind-host", host.strip("[]"), "--master-bind-port", port]
    elif count > 1:
        port = str(_free_port())
        words += ["--processes", str(count), "--master-bind-host", "127.0.0.1", "--master-bind-port", port]
        words += ["--master-host", "127.0.0.1", "--master-port", port, "--expect-workers-max-wait", "30"]
    return words


def _origin(host: str, context: Context) -> str:
    """The address that a Locust file's users begin at: that of a declared service on the host, else HTTPS."""
    for service in http_services(context.environment).values():
        if service.host == host:
            return "/".join(service.url.split("/")[:3])
    return f"https://{host}"


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def _running_process(words: Sequence[str], folder: Path, context: Context) -> Any:
    """The process, in a group of its own that is ended whatever happens: Locust's workers outlive a killed master."""
    kept = child_environment("locust", context.passed, python_path())
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            words, cwd=context.root, env={**kept, FOLDER: str(folder), "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=end_with_us(signal.SIGKILL),
        )  # fmt: skip
    forget = context.at_end(lambda: _end(process))
    try:
        yield process
    finally:
        _end(process)
        forget()


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)


def _wait_for_result(
    name: str, process: subprocess.Popen[bytes], folder: Path, renewals: tuple[Renewal, AddressRenewal],
    context: Context, deadline: Deadline,
) -> None:  # fmt: skip
    """Waits for the result or the end, and passes on how it goes; raises EvidenceProblem (timeout)."""
    result = folder / "result.json"
    while not result.exists() and process.poll() is None:
        if deadline.time_left() < 0.5:
            raise EvidenceProblem(Problem("timeout", f"load {name} did not end within {deadline.seconds:.0f} s"))
        time.sleep(LOOK)
        for each in renewals:
            each.look(folder)
        context.tell(name, progress_text(name, _text(folder / "progress.json")))


def progress_text(name: str, text: str) -> str:
    """How a load goes, in one line: "browse 12 s: 166.7/s, P50 4 ms, P95 9 ms, P99 20 ms, errors 0 %"."""
    from pytest_prodcheck.quantities import format_quantity

    try:
        told = json.loads(text)
        times = ", ".join(
            f"P{name[1:]} {format_quantity(told[name] / 1e6, 's')}"
            for name in ("p50", "p95", "p99")
            if told[name] is not None
        )
        errors = format_quantity(100 * float(told["error_ratio"]), "%")
        rate = format_quantity(float(told["rate"]))
        return f"{name} {told['seconds']:.0f} s: {rate}/s, {times or 'nothing answered'}, errors {errors}"
    except (ValueError, KeyError, TypeError):
        return f"{name}: starting"


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(LARGEST + 1)[:LARGEST].decode("utf-8", "replace")
    except OSError:
        return ""


def _last_words(folder: Path, load: Load, context: Context) -> str:
    lines = [line.strip() for line in _text(folder / "output").splitlines() if line.strip()]
    told = [line for line in lines if "error" in line.lower()]
    if not told:  # they end with Locust's table
        told = (
            [("it ended too early: did it call `runner.quit()`, or did its load shape end?")]
            if load.locustfile
            else lines
        )
    return plain_text(context.redactor.redact(" | ".join(told[-3:])), 400)


def _read(name: str, folder: Path, words: str) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(_text(folder / "result.json"))
        if not isinstance(result, dict):
            raise ValueError("no object")
    except ValueError:
        what = f"load {name} left no result: {words or 'it said nothing'}"
        raise EvidenceProblem(Problem("internal", what)) from None
    return result
