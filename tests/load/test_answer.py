"""The private parts of geventhttpclient that we use behave as we rely on; a version that changes them fails here.

And what its parser does not take is read as browsers read it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.field.web.certificates import Issued

PROGRAM = """
import gzip
from pytest_prodcheck.answers.decoding import BodyError
from pytest_prodcheck.load.answer import Answer, OddHead
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

CHUNKED = "2\\r\\nok\\r\\n0\\r\\n\\r\\n"
for head, body, good in (
    ("HTTP/1.1 200 OK\\nContent-Length: 2\\n\\n", "ok", True),
    ("HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nContent-Length: 2\\r\\n\\r\\n", "ok", True),
    ("HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n", CHUNKED, True),
    ("HTTP/1.1 200 OK\\r\\nA: b\\r\\n c\\r\\nno field\\r\\nContent-Length: 2\\r\\n\\r\\n", "ok", True),
    ("HTTP/1.1 103 Hints\\nA: b\\n\\nHTTP/1.1 200 OK\\nContent-Length: 2\\n\\n", "ok", True),
    ("HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nContent-Length: 3\\r\\n\\r\\n", "ok", False),
    ("SSH-2.0-x\\r\\n", "ok", False),
):
    for size in (1, 7, 999):
        answer, sent = Answer("GET", keep=9), (head + body).encode()
        try:
            for at in range(0, len(sent), size):
                try:
                    answer.feed(sent[at : at + size])
                except OddHead as odd:
                    answer = odd.answer
                answer.take()
            assert good and answer.done and bytes(answer.kept) == b"ok", (head, size)
        except Exception as error:
            assert not good and not isinstance(error, AssertionError), (head, size, error)
"""
TLS = """
import socket, ssl, sys, threading
from pytest_prodcheck.answers.expected_answers import ExpectedAnswer
from pytest_prodcheck.load.client import Call, Client, RequestFailed, clock
from pytest_prodcheck.load.templates import Template
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1])
listening = socket.create_server(("127.0.0.1", 0))
def serve():
    for farewell in (True, False):
        taken = context.wrap_socket(listening.accept()[0], server_side=True)
        taken.recv(999)
        taken.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\nhello")
        try:
            if farewell:
                taken.unwrap()
        except OSError:
            pass  # the other side goes without its own
        taken.close()
threading.Thread(target=serve, daemon=True).start()
tls = {"ca": sys.argv[1], "verify": True, "certificate": None, "key": None}
client = Client({"addresses": [list(listening.getsockname())], "server_name": "x.test", "tls": tls, "http": "1.1"})
call = Call("it", client, "POST", Template("POST / HTTP/1.1\\r\\n\\r\\n"), False, ExpectedAnswer(statuses=(200,)), 5.0)
print(client.ask(call, call.template.render({}), clock() + 5)[0].done)
try:
    client.ask(call, call.template.render({}), clock() + 5)
except RequestFailed as failure:
    print(failure)
"""


def test_the_body_is_there_as_far_as_it_came() -> None:
    """In a process of its own, for gevent changes the one that imports it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_answer_that_ends_with_its_connection_is_whole_where_tls_says_so(tmp_path: Path) -> None:
    """RFC 9112, 9.8; as curl and Go have it, and as the checks without load."""
    file = Issued("x.test", None, -1, 9, names=["x.test"], ca=True).write(tmp_path / "x.pem", key=True)
    words = [sys.executable, "-c", TLS, str(file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("True\nconnection reset inside the answer\n", "")
