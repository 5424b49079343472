"""Whose fault it is that a request of a Locust file's users failed: errors as `requests` wraps them."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from pytest_prodcheck.load.request_errors import own_shortage, timed_out


class FromElsewhere(HTTPAdapter):
    """Connects from an address that this machine does not have: what connect(2) says where no port is left."""

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named, source_address=("192.0.2.1", 0))


@contextmanager
def no_file_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def failure(session: requests.Session, url: str, **named: Any) -> requests.RequestException:
    with pytest.raises(requests.RequestException) as told:
        session.get(url, **named)
    return told.value


def test_what_this_machine_is_short_of(silent: str) -> None:
    """locustio/locust#92, #1519: a thousand users of a Locust file, and as many files as a shell may open."""
    with requests.Session() as session:
        session.trust_env = False
        with no_file_left():
            error = failure(session, silent)
        assert own_shortage(error) == "this machine could not connect: Too many open files"
        session.mount("http://", FromElsewhere())
        assert "Cannot assign requested address" in own_shortage(failure(session, silent))


def test_what_the_server_did(silent: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        late = failure(session, silent, timeout=0.05)
        assert (timed_out(late), own_shortage(late)) == (True, "")
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            refused = failure(session, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        assert (timed_out(refused), own_shortage(refused)) == (False, "")


def test_errors_that_wrap_themselves() -> None:
    error = OSError("again")
    error.args = (error,)
    error.__cause__ = error
    assert (timed_out(error), own_shortage(error)) == (False, "")
    assert (timed_out("timeout"), own_shortage(None)) == (False, "")
