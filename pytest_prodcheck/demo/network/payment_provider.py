"""The payment provider: a third-party server that the shop depends on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pytest_prodcheck.demo.network.balancer import Address, Loop, bound


@dataclass
class PaymentProvider:
    """Answers every request; `status` and `delay` (seconds) may change at any time."""

    status: str = "200 OK"
    delay: float = 0.0

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(self.delay)
                writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 2\r\n\r\nok".encode())
                await writer.drain()
        except (OSError, EOFError, ValueError):
            pass
        finally:
            writer.close()

    def start(self, loop: Loop) -> Address:
        """Starts it behind its entrance; returns its address."""
        sock = bound("127.0.0.1")
        address: Address = sock.getsockname()[:2]
        loop.run(asyncio.start_server(self._answer, sock=sock))
        return address
