"""A server that can be made worse, `worse_server.py PORT SEED`: GET /product answers, GET /as?… says how from now on.

GET /report takes five times as long, and is never worse.

errors: share of the answers that are 503; slower: how many times longer all take; tail: share that takes 0.4 s more.
"""

from __future__ import annotations

import asyncio
import random
import sys
from urllib.parse import parse_qs

GOOD = b'{"revision": "r"}'
HOW = {"errors": 0.001, "slower": 1.0, "tail": 0.0}
USUAL = dict(HOW)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, kept."""
    try:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
            where, _, query = path.partition("?")
            failed = False
            if where == "/as":
                HOW.update({name: float(values[0]) for name, values in parse_qs(query).items()})
            else:
                how, usual = (USUAL, 0.2) if where == "/report" else (HOW, 0.04)
                late = 0.4 if random.random() < how["tail"] else 0.0
                await asyncio.sleep(usual * how["slower"] * random.lognormvariate(0, 0.5) + late)
                failed = random.random() < how["errors"]
            status = "503 Service Unavailable" if failed else "200 OK"
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(GOOD)}\r\n\r\n"
            writer.write(head.encode() + GOOD)
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def main(port: int, seed: int) -> None:
    """Serves until it is ended."""
    random.seed(seed)
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
