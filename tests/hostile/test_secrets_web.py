"""Secrets in what the security suite meets: its own sessions, and what lies open. None is to be read anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.evidence.http.servers import Answer, Seen, web
from tests.project import Project

PASSWORD, SESSION, OPEN, LEAKED = "c4nary-password", "c4nary-session-0123", "c4nary-in-the-open", "c4nary-in-a-trace"
TOML = """\
version = 1
project = "t"
[environments.dev]
revision = "r1"
absent = ["workflows", "postgres", "redis"]
[environments.dev.services.shop]
url = "http://127.0.0.1:{port}"
html = true
public = true
[environments.dev.services.shop.endpoints]
account = {{ request = "GET /account", as = "customer", status = 200 }}
[environments.dev.auth]
kind = "form"
service = "shop"
login = "POST /login"
cookie = "sid"
roles.customer = {{ user = "c", password = {{ file = "password" }} }}
[environments.dev.exposure.edge]
host = "127.0.0.1"
ports = "{port}"
expected = [{port}]
[environments.live]
extends = "dev"
protected = true
"""
TRACE = f'Traceback (most recent call last):\n  File "/a.py", line 1\n    connect(password="{LEAKED}")\n'


def answer(seen: Seen) -> Answer:
    """A shop that gives everything away, and repeats what it is sent."""
    if seen.path == "/login":
        return 303, {"Set-Cookie": f"sid={SESSION}; Path=/", "Location": f"/?session={SESSION}"}, b""
    cookie, origin = seen.headers.get("Cookie", ""), seen.headers.get("Origin", "")
    told = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "X-Echo": cookie}
    if seen.path == "/account":
        return (200 if SESSION in cookie else 401), told, cookie.encode()
    if seen.path == "/.env":
        return 200, told, f"DB_PASSWORD={OPEN}\n".encode()
    if seen.path.partition("?")[0] == "/":
        return 200, {"Content-Type": "text/html", **told}, b"<title>Shop</title>"
    return 404, told, TRACE.encode()


@pytest.mark.parametrize("env", ["dev", "live"])
def test_nothing_is_told(env: str, tmp_path: Path) -> None:
    with web(answer) as server:
        project = Project.make(tmp_path, TOML.format(port=server.port), "")
        project.write("password", PASSWORD)
        reports = ("--prodcheck-json", "report.json", "--junit-xml", "report.xml", "--html", "report.html")
        done = project.pytest("-m", "security", "-rA", *reports, "--self-contained-html", "--revision", "r1", env=env)
    results = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["run"]["results"]
    failed = {each["check"] for each in results if each["outcome"] == "failed"}
    assert failed >= {"security.cookies", "security.cors", "security.headers.traces",
                      "security.exposure.files"}  # fmt: skip
    assert "/.env: it shows environment variables" in done.stdout
    assert ("--allow-check security.exposure.ports" in done.stdout) == (env == "live")
    canaries = (PASSWORD, SESSION, OPEN, LEAKED)
    files = [each for each in tmp_path.rglob("*") if each.is_file() and each.name != "password"]
    texts = {each.name: each.read_text(encoding="utf-8", errors="replace") for each in files}
    texts["output"] = done.stdout + done.stderr
    assert len([name for name in texts if name.startswith("http-")]) >= 8
    found = [(name, canary) for name, text in texts.items() for canary in canaries if canary in text]
    assert not found
