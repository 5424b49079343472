"""The private parts of geventhttpclient that we use behave as we rely on; a version that changes them fails here."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from pytest_prodcheck.load.answer import Answer
answer = Answer("GET")
answer.feed(b"HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nhello")
assert bytes(answer.body) == b"hello" and not answer.message_complete
answer.feed(b"world")
assert bytes(answer.body) == b"helloworld" and answer.message_complete
"""


def test_the_body_is_there_as_far_as_it_came_and_stays() -> None:
    """In a process of its own, for gevent changes the one that imports it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
