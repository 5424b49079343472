"""The private parts of geventhttpclient that we use behave as we rely on; a version that changes them fails here."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gzip
from pytest_prodcheck.answers.decoding import BodyError
from pytest_prodcheck.load.answer import Answer
answer = Answer("GET", keep=8)
answer.feed(b"HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nhello")
answer.take()
assert bytes(answer.kept) == b"hello" and not answer.message_complete
answer.feed(b"world")
answer.take()
assert bytes(answer.kept) == b"helloworl" and answer.message_complete  # one more than is kept: it goes on

for after in (b"HTTP/1.0 408 Request Time-out\\r\\nConnection: close\\r\\n\\r\\n", b"d, and more", b"0\\r\\n\\r\\n"):
    answer = Answer("GET", keep=20)
    answer.feed(b"HTTP/1.1 103 Early Hints\\r\\n\\r\\n")
    assert not answer.done
    answer.feed(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello" + after)
    answer.take()
    assert (answer.done, answer.get_code(), bytes(answer.kept)) == (True, 200, b"hello")
    assert answer.should_close()

packed = gzip.compress("ein Gr\\u00f6\\u00dfer".encode("utf-16"))
for body, good in ((packed, True), (packed[:-9], False)):
    head = "HTTP/1.1 200 OK\\r\\nContent-Type: text/plain; charset=utf-16\\r\\nContent-Encoding: gzip\\r\\n"
    answer = Answer("GET", "Gr\\u00f6\\u00df")
    try:
        answer.feed((head + f"Content-Length: {len(body)}\\r\\n\\r\\n").encode() + body[:7])
        answer.take()
        answer.feed(body[7:])
        answer.take()
        assert good and answer.holds_text
    except BodyError:
        assert not good
"""


def test_the_body_is_there_as_far_as_it_came() -> None:
    """In a process of its own, for gevent changes the one that imports it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
