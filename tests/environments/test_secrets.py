from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_prodcheck.environments.secrets import SecretError, SecretResolver
from pytest_prodcheck.environments.sections.base import SecretRef

CANARY = "hunter22-canary"
SLEEPER = "import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])"


def python(code: str) -> SecretRef:
    return SecretRef(command=(sys.executable, "-S", "-c", code))


def test_each_way_gives_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODCHECK_TEST_SECRET", " with spaces ")
    (tmp_path / "secret").write_text("line one\nline two\r\n")
    resolver = SecretResolver(tmp_path)
    assert resolver.resolve(SecretRef(env="PRODCHECK_TEST_SECRET")) == " with spaces "
    assert resolver.resolve(SecretRef(file="secret")) == "line one\nline two"
    assert resolver.resolve(SecretRef(file=str(tmp_path / "secret"))) == "line one\nline two"
    assert resolver.resolve(python("print('from a command')")) == "from a command"
    assert resolver.resolve(python("import os; print(os.getcwd())")) == str(tmp_path)


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (SecretRef(env="PRODCHECK_TEST_NONE"), "environment variable PRODCHECK_TEST_NONE is not set: export it"),
        (SecretRef(env=""), "environment variable  is not set"),
        (SecretRef(env="PRODCHECK_TEST_EMPTY"), "environment variable PRODCHECK_TEST_EMPTY is empty"),
        (SecretRef(env="PRODCHECK_TEST_SHORT"), "fewer than 6 characters"),
        (SecretRef(file="none"), "file none does not exist: create or mount it"),
        (SecretRef(file="."), "file . cannot be read: Is a directory"),
        (SecretRef(file="a\0b"), "cannot be read: not a usable path"),
        (SecretRef(file="binary"), "file binary returns bytes that are not UTF-8 text"),
        (SecretRef(file="large"), "file large returns more than 64 KiB"),
        (SecretRef(file="nul"), "file nul returns a NUL character"),
        (SecretRef(command=()), "command (none) cannot be started: not a usable command"),
        (SecretRef(command=("no-such-program",)), "command no-such-program cannot be started: No such file"),
        (python(f"import sys; sys.stderr.write('{CANARY}'); sys.exit('{CANARY}')"), "ended with exit code 1"),
        (python("pass"), "is empty"),
    ],
)  # fmt: skip
def test_what_gives_no_secret_says_which_reference_and_why(
    ref: SecretRef, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRODCHECK_TEST_EMPTY", "")
    monkeypatch.setenv("PRODCHECK_TEST_SHORT", "abcde")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfd\xfc\xfb\xfa\xf9")
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    (tmp_path / "nul").write_bytes(b"abc\0defgh")
    with pytest.raises(SecretError) as caught:
        SecretResolver(tmp_path).resolve(ref)
    assert expected in str(caught.value)
    assert CANARY not in str(caught.value)
    assert "abcde" not in str(caught.value)


def test_a_hanging_command_and_what_it_started_are_ended_in_time(tmp_path: Path) -> None:
    code = f"{SLEEPER}; import time; time.sleep(60)"
    started = time.monotonic()
    with pytest.raises(SecretError, match="did not finish within"):
        SecretResolver(tmp_path).resolve(python(code), timeout=0.5)
    assert time.monotonic() - started < 10


def test_a_grandchild_that_holds_the_pipe_does_not_hang_us(tmp_path: Path) -> None:
    code = f"{SLEEPER}; print('secret-value', flush=True)"
    started = time.monotonic()
    with pytest.raises(SecretError, match="did not finish"):
        SecretResolver(tmp_path).resolve(python(code), timeout=1)
    assert time.monotonic() - started < 10


def test_a_command_that_prints_without_end_is_stopped(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(SecretError, match="more than 64 KiB"):
        SecretResolver(tmp_path).resolve(python("while True: print('x' * 9999)"), timeout=10)
    assert time.monotonic() - started < 8


def test_a_reference_is_resolved_once_also_by_many_threads_and_also_when_it_fails(tmp_path: Path) -> None:
    log = tmp_path / "log"
    good = python(f"open({str(log)!r}, 'a').write('x'); print('secret-value')")
    bad = python(f"open({str(log)!r}, 'a').write('y'); raise SystemExit(3)")
    resolver = SecretResolver(tmp_path)
    values: list[str] = []

    def work() -> None:
        values.append(resolver.resolve(good))
        with pytest.raises(SecretError):
            resolver.resolve(bad)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert values == ["secret-value"] * 8
    assert sorted(log.read_text()) == ["x", "y"]


def test_a_slow_reference_does_not_hold_up_another(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret-value")
    resolver = SecretResolver(tmp_path)
    slow = threading.Thread(
        target=lambda: resolver.resolve(python("import time; time.sleep(1.5); print('slow-secret')"))
    )
    slow.start()
    started = time.monotonic()
    assert resolver.resolve(SecretRef(file="secret")) == "secret-value"
    assert time.monotonic() - started < 2
    slow.join(20)
