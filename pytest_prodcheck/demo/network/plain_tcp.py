"""The plain TCP service behind the queue's entrance."""

from __future__ import annotations

import asyncio

from pytest_prodcheck.demo.network.balancer import Address, Loop, bound


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says a banner line and answers each line with OK."""
    try:
        writer.write(b"220 queue.demo.test ready\r\n")
        while await reader.readline():
            writer.write(b"250 OK\r\n")
            await writer.drain()
    except (OSError, ValueError):
        pass
    finally:
        writer.close()


def start_queue(loop: Loop) -> Address:
    """Starts the plain TCP service behind the queue's entrance; returns its address."""
    sock = bound("127.0.0.1")
    address: Address = sock.getsockname()[:2]
    loop.run(asyncio.start_server(_greet, sock=sock))
    return address
