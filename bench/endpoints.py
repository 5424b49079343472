"""500 endpoints that answer after 100 ms: the whole process against what cannot be saved."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import PYTEST, PYTHON, row, side_by_side
from tests.project import Project

AT_ONCE = 100
DELAY = 0.1


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


def main(count: int = 500, runs: int = 5) -> bool:
    """At most 1.3 x (plain pytest on as many empty tests + the network wait + the imports); 3 x faster than goss."""
    with tempfile.TemporaryDirectory() as name, slow_server() as port:
        folder = Path(name)
        lines = [
            'version = 1\nproject = "bench"\n[environments.dev]\nrevision = "r1"\n',
            f"gathering = {{ at_once = {AT_ONCE}, per_host = {AT_ONCE} }}\n",
            f'[environments.dev.services.api]\nurl = "http://127.0.0.1:{port}"\n[environments.dev.services.api.endpoints]\n',
            *[f'e{number} = {{ request = "GET /{number}", status = 200 }}\n' for number in range(count)],
        ]
        project = Project.make(folder, "".join(lines), "")
        for folder_name, tests in (("plain", count), ("thousand", 1000)):
            text = "".join(f"def test_{number}(): pass\n" for number in range(tests))
            project.write(f"{folder_name}/test_{folder_name}.py", text)
        taken = side_by_side(
            folder, runs,
            env=[*PYTEST, "-m", "smoke", "--env", "dev"],
            plain=[*PYTEST, "plain"],
            thousand=[*PYTEST, "thousand"],
            imports=[PYTHON, "-c", "import pytest, pydantic, pytest_prodcheck.environments.loading, requests"],
            pytest=[PYTHON, "-c", "import pytest"],
        )  # fmt: skip
    env, plain, wait = taken["env"], taken["plain"], count / AT_ONCE * DELAY
    imports = taken["imports"].wall - taken["pytest"].wall
    print(f"      {count:,} endpoints: plain pytest {plain.wall:.2f} s + wait {wait:.2f} s + imports {imports:.2f} s; "
          f"prodcheck {env.wall:.2f} s, of it processor {env.cpu:.2f} s, {env.memory:.0f} MB")  # fmt: skip
    floor = plain.wall + wait + imports
    first = row(f"{count:,} endpoints of 100 ms / (plain pytest + wait + imports)", env.wall / floor, 1.3)
    # goss on this work: 500 of 100 ms in 5.1 s whatever --max-concurrent says (5 at once a core), on a machine where
    # plain pytest takes 0.6 s for 1,000 empty tests
    goss = 5.1 / 500 * count * taken["thousand"].wall / 0.6
    return row(f"{count:,} endpoints / what goss would take ({goss:.1f} s), x 3", 3 * env.wall / goss, 1.0) and first
