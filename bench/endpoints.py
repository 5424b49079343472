"""500 endpoints that answer after 100 ms: the whole process against what cannot be saved."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import PYTHON, row, side_by_side
from tests.project import Project

AT_ONCE = 100
DELAY = 0.1
PYTEST = (PYTHON, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider")


@contextmanager
def slow_server() -> Iterator[int]:
    """A server on loopback that answers every request after 100 ms; yields its port."""
    loop = asyncio.new_event_loop()
    ports: list[int] = []
    ready = threading.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(DELAY)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    threading.Thread(target=run, daemon=True).start()
    ready.wait(10)
    yield ports[0]
    loop.call_soon_threadsafe(loop.stop)


def main(count: int = 500) -> bool:
    """At most 1.3 x (plain pytest on as many empty tests + the wait on the network + the imports)."""
    with tempfile.TemporaryDirectory() as name, slow_server() as port:
        folder = Path(name)
        lines = [
            'version = 1\nproject = "bench"\n[environments.dev]\nrevision = "r1"\n',
            f"gathering = {{ at_once = {AT_ONCE}, per_host = {AT_ONCE} }}\n",
            f'[environments.dev.services.api]\nurl = "http://127.0.0.1:{port}"\n[environments.dev.services.api.endpoints]\n',
            *[f'e{number} = {{ request = "GET /{number}", status = 200 }}\n' for number in range(count)],
        ]
        project = Project.make(folder, "".join(lines), "")
        project.write("plain/test_plain.py", "".join(f"def test_{number}(): pass\n" for number in range(count)))
        imports = "import pytest, pydantic, pytest_prodcheck.environments.loading, requests"
        taken = side_by_side(
            folder, 5,
            env=[*PYTEST, "-m", "smoke", "--env", "dev"],
            plain=[*PYTEST, "plain"],
            imports=[PYTHON, "-c", imports],
            pytest=[PYTHON, "-c", "import pytest"],
        )  # fmt: skip
    floor = taken["plain"] + count / AT_ONCE * DELAY + taken["imports"] - taken["pytest"]
    print(
        f"      {count:,} endpoints: plain pytest {taken['plain']:.2f} s + wait {count / AT_ONCE * DELAY:.2f} s"
        f" + imports {taken['imports'] - taken['pytest']:.2f} s; prodcheck {taken['env']:.2f} s"
    )
    first = row(f"{count:,} endpoints of 100 ms / (plain pytest + wait + imports)", taken["env"] / floor, 1.3)
    goss = (
        5.1 / 500 * count
    )  # goss on this work, 5 at once a core: 500 of 100 ms in 5.1 s whatever --max-concurrent says
    return row(f"{count:,} endpoints / goss would be (5.1 s for 500), x 3", 3 * taken["env"] / goss, 1.0) and first
