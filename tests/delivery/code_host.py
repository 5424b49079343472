"""Plays the comments part of the REST interfaces of GitHub and GitLab on loopback, as their public documentation says.

The real programs cannot run here. Played: pages of at most 100 with a Link header, comments in the order in which they
were added, ids, authors, 401, 403, 404, 410 and 422, who the token belongs to (GitHub: GraphQL `viewer`, because the
REST interface does not tell jobs' tokens; GitLab: /user), and the most characters of a comment.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pytest_prodcheck.delivery.code_hosts import GITHUB, Host
from tests.delivery.receivers import serving

TOKEN = "ghs_very-secret-token-of-a-job"


@dataclass
class CodeHost:
    """Its comments, oldest first, on one request; `refuses` is the status that it answers by method."""

    host: Host
    project: str
    number: int
    user: str
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    refuses: dict[str, int] = field(default_factory=dict)
    vanishes: bool = False  # a comment that is found is deleted before it can be edited
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None  # what it answers instead of JSON
    port: int = 0

    @property
    def api(self) -> str:
        return f"https://127.0.0.1:{self.port}" + ("/api/v3" if self.host is GITHUB else "/api/v4")

    def add(self, author: str, body: str) -> int:
        number = 1000 + len(self.comments)
        who, named = self.host.author
        self.comments.append({"id": number, who: {named: author}, "body": body, "system": False})
        return number

    def answer(self, method: str, path: str, query: str, body: Any, signed: str) -> tuple[int, Any, dict[str, str]]:
        if signed != (f"Bearer {TOKEN}" if self.host is GITHUB else TOKEN):
            return 401, {"message": "Bad credentials"}, {}
        if self.host is GITHUB and path == "/api/graphql":
            return 200, {"data": {"viewer": {"login": self.user}}}, {}
        if self.host is not GITHUB and path == "/api/v4/user":
            return 200, {"id": 7, "username": self.user}, {}
        if method in self.refuses:
            return self.refuses[method], {"message": "no"}, dict(self.headers)
        root = path.removeprefix("/api/v3" if self.host is GITHUB else "/api/v4")
        if root == self._listing and method == "GET":
            return self._page(parse_qs(query))
        if root == self._listing and method == "POST":
            return self._write(None, body)
        base = f"/repos/{self.project}/issues/comments" if self.host is GITHUB else self._listing
        number = int(root.removeprefix(f"{base}/")) if root.startswith(f"{base}/") else 0
        found = next((each for each in self.comments if each["id"] == number), None)
        if found is None or method != self.host.edited_by:
            return 404, {"message": "Not Found"}, {}
        if self.vanishes:
            self.comments.remove(found)
            return 404, {"message": "Not Found"}, {}
        return self._write(found, body)

    @property
    def _listing(self) -> str:
        if self.host is GITHUB:
            return f"/repos/{self.project}/issues/{self.number}/comments"
        return f"/projects/{self.project}/merge_requests/{self.number}/notes"

    def _page(self, query: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        size, page = min(int(query["per_page"][0]), 100), int(query["page"][0])
        rest = self.comments[(page - 1) * size :]
        links = {"Link": f'<{self.api}{self._listing}?per_page={size}&page={page + 1}>; rel="next"'}
        return 200, rest[:size], links if len(rest) > size else {}

    def _write(self, found: dict[str, Any] | None, body: Any) -> tuple[int, Any, dict[str, str]]:
        text = body["body"]
        if len(text) > self.host.most:
            return 422, {"message": "body is too long"}, {}
        if found is None:
            self.add(self.user, text)
            return 201, self.comments[-1], {}
        found["body"] = text
        return 200, found, {}


@contextmanager
def serve(made: CodeHost, context: ssl.SSLContext) -> Iterator[CodeHost]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            signed = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or ""
            made.asked.append((self.command, self.path))
            status, data, headers = made.answer(
                self.command, parts.path, parts.query, json.loads(body) if body else None, signed
            )
            content = made.raw if made.raw is not None else json.dumps(data).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = handle_any

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with serving(Handler, context) as made.port:
        yield made
