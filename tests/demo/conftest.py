"""One demo for all tests of this folder; each test that switches faults on gets it back healthy."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pytest_prodcheck.demo import Demo, start
from tests.demo.client import Client


@pytest.fixture(scope="package")
def shared_demo() -> Iterator[Demo]:
    before = os.umask(0)  # as on machines that are set up badly: what it makes is closed all the same
    try:
        demo = start()
    finally:
        os.umask(before)
    with demo:
        demo.wait_ready(60)
        yield demo


@pytest.fixture
def demo(shared_demo: Demo) -> Iterator[Demo]:
    shared_demo.set_faults([])
    yield shared_demo
    shared_demo.set_faults([])


@pytest.fixture
def client(demo: Demo) -> Client:
    return Client(demo)
