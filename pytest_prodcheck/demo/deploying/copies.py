"""What a team would have as its script, `copies.py start SLOT REVISION | stop SLOT | observe | share TABLE | shared`.

Its settings lie in site.json beside it: the ports of the slots, the map file of HAProxy and its socket.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SITE: dict[str, Any] = json.loads((HERE / "site.json").read_text()) if (HERE / "site.json").exists() else {}


def main(words: list[str]) -> int:
    """Runs one command."""
    if words[0] == "start":
        start(words[1], words[2])
    elif words[0] == "stop":
        stop(words[1])
    elif words[0] == "share":
        share(words[1])
    else:
        print((observe if words[0] == "observe" else shared)())
    return 0


def start(slot: str, revision: str) -> None:
    """Ends what runs in the slot and starts the revision; comes back when it answers."""
    if running(slot) == revision:
        return
    stop(slot)
    words = [sys.executable, "-S", "-E", str(HERE / "server.py"), str(SITE["ports"][slot]), revision]
    process = subprocess.Popen(
        words, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    (HERE / f"{slot}.pid").write_text(str(process.pid))
    end = time.monotonic() + 20
    while running(slot) != revision and time.monotonic() < end:
        time.sleep(0.02)


def stop(slot: str) -> None:
    """Ends whoever listens on the slot's port; the process id is checked by its command line."""
    for pid in servers(SITE["ports"][slot]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 10
    while servers(SITE["ports"][slot]) and time.monotonic() < end:
        time.sleep(0.02)


def servers(port: int) -> list[int]:
    """The processes that serve a port for this site."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            ours = len(words) > 5 and words[3] == str(HERE / "server.py").encode() and words[4] == str(port).encode()
            if ours and (folder / "stat").read_text().rpartition(") ")[2][0] != "Z":
                found.append(int(folder.name))
    return found


def running(slot: str) -> str:
    """The revision of a copy that answers well, "" of any other."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", SITE["ports"][slot], timeout=5)
        connection.request("GET", "/version")
        answer = connection.getresponse()
        return str(json.loads(answer.read())["revision"]) if answer.status == 200 else ""
    except (OSError, ValueError, http.client.HTTPException):
        return ""


def observe() -> str:
    """What runs in each slot."""
    return "\n".join(f"{slot} {running(slot) or '-'}" for slot in SITE["ports"])


def share(table: str) -> None:
    """Shares the traffic, in the map file and in HAProxy."""
    name, percent = table.split(",")[1].split("=")
    (HERE / "share.map").write_text(f"{name} {percent}\n")
    ask(f"set map {HERE / 'share.map'} {name} {percent}")


def shared() -> str:
    """How traffic is shared."""
    row = ask(f"show map {HERE / 'share.map'}").split()
    first = next(slot for slot in SITE["ports"] if slot != row[1])
    return f"{first} {100 - int(row[2])}\n{row[1]} {row[2]}"


def ask(line: str) -> str:
    """HAProxy's answer."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(HERE / "admin.sock"))
        sock.sendall(line.encode() + b"\n")
        answer = b""
        while part := sock.recv(65536):
            answer += part
    return answer.decode()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
