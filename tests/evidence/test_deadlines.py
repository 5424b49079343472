from __future__ import annotations

import socket
import time

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.records import EvidenceProblem


def test_seconds_left_is_positive_until_it_raises() -> None:
    deadline = Deadline(0.05)
    assert 0 < deadline.seconds_left() <= 0.05
    assert not deadline.expired
    time.sleep(0.06)
    assert deadline.expired
    with pytest.raises(EvidenceProblem, match=r"not done within 0.05 s"):
        deadline.seconds_left()


def test_a_part_never_outlives_the_whole_and_shares_its_notes() -> None:
    whole = Deadline(0.2)
    assert whole.at_most(60).time_left() <= 0.2
    part = whole.at_most(0.1)
    assert part.time_left() <= 0.1
    part.note("once")
    part.note("once")
    assert whole.notes == ["once"]
    part.used(5.0)
    assert whole.oldest == 5.0


def test_guard_ends_a_blocking_read_although_bytes_keep_coming() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        started = time.monotonic()
        with Deadline(0.2).guard(ours):
            assert ours.recv(1) == b""
        assert 0.15 < time.monotonic() - started < 2


def test_a_guard_that_is_over_does_no_harm() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(200):
            with Deadline(0.05).guard(ours):
                pass
        time.sleep(0.1)
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"


def test_guards_of_different_lengths_end_in_their_own_order() -> None:
    pairs = [socket.socketpair() for _ in range(5)]
    guards = [
        Deadline(seconds).guard(ours) for seconds, (ours, _) in zip((0.5, 0.1, 0.4, 0.2, 0.3), pairs, strict=True)
    ]
    for guard in guards:
        guard.__enter__()
    time.sleep(0.25)
    states = []
    for ours, _ in pairs:
        ours.setblocking(False)
        try:
            states.append(ours.recv(1) == b"")
        except BlockingIOError:
            states.append(False)
    for guard in guards:
        guard.__exit__(None, None, None)
    for ours, theirs in pairs:
        ours.close()
        theirs.close()
    assert states == [False, True, False, True, False]
