"""Locust's master and workers talk by CURVE (encrypted, RFC CurveZMQ): its port takes any worker that connects.

The server's public key is no secret by design; here it is one: both sides derive the server's key pair from a secret
that they share, so only who knows that secret gets through the handshake, and nobody else reads the plan's tokens.
Imported in each process before Locust opens its sockets. Touches `locust.rpc.zmqrpc.BaseSocket`: hence Locust < 3.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

SECRET = "PRODCHECK_LOAD_SECRET"  # for workers on other machines
FILE = "secret"  # in the folder of the plan, for those on this one
SHORTEST = 16


def secret_key(shared: str) -> bytes:
    """The server's secret key (Z85, 40 characters) that a shared secret stands for."""
    from zmq.utils import z85

    raw = hashlib.sha256(b"prodcheck-load\0" + shared.encode()).digest()
    return bytes(z85.encode(raw))


def shared_secret(folder: str) -> str:
    """What this process was given: the file beside the plan, else the environment; raises SystemExit without one."""
    found = (Path(folder) / FILE).read_text(encoding="ascii") if folder else os.environ.get(SECRET, "")
    if len(found) < SHORTEST:
        raise SystemExit(f"prodcheck: set {SECRET} to the secret of the run (at least {SHORTEST} characters)")
    return found


def secure(folder: str) -> None:
    """Has all sockets of Locust that are opened from now on in this process encrypted and closed to others."""
    import zmq
    from locust.rpc import zmqrpc

    if not zmq.has("curve"):
        raise SystemExit("prodcheck: this pyzmq cannot encrypt (CURVE): install the one of PyPI")
    key = secret_key(shared_secret(folder))
    plain: Any = zmqrpc.BaseSocket.__init__
    if getattr(plain, "of_prodcheck", False):
        return

    def encrypted(self: Any, sock_type: int, ipv4_only: bool) -> None:
        plain(self, sock_type, ipv4_only)
        if sock_type == zmq.ROUTER:
            self.socket.setsockopt(zmq.CURVE_SERVER, 1)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, key)
        else:
            public, own = zmq.curve_keypair()
            self.socket.setsockopt(zmq.CURVE_SERVERKEY, zmq.curve_public(key))
            self.socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, own)

    encrypted.of_prodcheck = True  # type: ignore[attr-defined]
    setattr(zmqrpc.BaseSocket, "__init__", encrypted)  # noqa: B010 - mypy takes no assignment to a method
