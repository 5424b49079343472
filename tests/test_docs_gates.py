"""docs/gates.md shows real outputs: its configuration and its commands are run here, and say what the page says."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.project import Project

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "gates.md").read_text(encoding="utf-8")
ADDRESS = "shop.internal:8080"  # as on the page


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    revision = "v7"

    def do_GET(self) -> None:
        answers: dict[str, dict[str, object]] = {
            "/healthz": {"status": "pass"},
            "/version": {"revision": type(self).revision},
            "/products/1": {"sku": "1", "cents": 1999},
        }
        body = json.dumps(answers[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # 44 connections at once: beyond the queue they would wait a second to try again


@contextmanager
def shop() -> Iterator[tuple[type[Shop], str]]:
    handler = type("Deployed", (Shop,), {})
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield handler, f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def sessions() -> list[tuple[str, str, int | None]]:
    """Every command on the page, what it shows there, and its exit code where the page tells it."""
    found: list[tuple[str, str, int | None]] = []
    for block in re.findall(r"^```text\n(.*?)^```$", PAGE, re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            if command == "echo $?":
                found[-1] = (*found[-1][:2], int(shown))
            else:
                found.append((command, shown, None))
    return found


def plain(text: str) -> str:
    """Without what differs from run to run or with each new check: line breaks, times, people, what is not declared."""
    text = re.sub(r"\d+ not declared", "N not declared", text)
    text = re.sub(r"overridden by \S+ until \S+", "overridden by WHO until WHEN", text)
    return " ".join(re.sub(r"(2027|2999)(-\d\d-\d\d)", r"YEAR\2", text).split())


class Reader:
    """Types the commands of the page in order; `then` sets the scene of the one that follows."""

    def __init__(self, project: Project, address: str) -> None:
        self.project, self.address, self.left = project, address, sessions()

    def types(self, start: str) -> None:
        command, shown, code = self.left.pop(0)
        assert command.startswith(start)
        words = shlex.split(command)[1:]
        extra = ["--", "-q", "-p", "no:randomly"] if words[0] == "run" else []
        done = self.project.prodcheck(*words, *extra)
        said = plain((done.stdout + done.stderr).replace(self.address, ADDRESS))
        for part in shown.split("…\n"):
            assert plain(part) in said, f"{command}\n{done.stdout}{done.stderr}"
        if code is not None:
            assert done.returncode == code, command


def test_the_page_about_gates_shows_what_really_happens(tmp_path: Path) -> None:
    whole, waiver = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)
    with shop() as (deployed, address):
        # dates far away: the page shall not turn false on the day that it names
        toml = whole.replace(ADDRESS, address).replace("2027-", "2999-")
        project = Project.make(tmp_path / "shop", toml)
        reader = Reader(project, address)
        assert project.prodcheck("run", "smoke", "--env", "staging", "--revision", "v7").returncode == 0
        reader.types("prodcheck run before")
        deployed.revision = "v6"
        reader.types("prodcheck run after")
        reader.types("prodcheck gate before")
        reader.types("prodcheck gate smoke")
        reader.types("prodcheck run before --env production --revision v9")
        reader.types("prodcheck run before")
        deployed.revision = "v7"
        project.write("prodcheck.toml", toml.replace('"postgres", ', ""))
        reader.types("prodcheck run after")
        deployed.revision = "v6"
        project.write("prodcheck.toml", toml)
        reader.types("prodcheck run watch")
        project.write("prodcheck.toml", toml + waiver.replace("2027-", "2999-"))
        reader.types("prodcheck run after")
        project.write("prodcheck.toml", toml)
        project.prodcheck("run", "after", "--env", "production", "--revision", "v7")
        reader.types("prodcheck override")
        reader.types("prodcheck gate after")
        project.write("switch-traffic.sh", "#!/bin/sh\ntouch switched\n").chmod(0o755)
        reader.types("prodcheck exec before")
        assert reader.left == []
        assert not (project.folder / "switched").exists()
