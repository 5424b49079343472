"""prodcheck prints each message of docs/troubleshooting.md: situations that people meet in the first hours, made."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.field.web.support import free_port
from tests.project import Project

PAGE = Path(__file__).resolve().parent.parent / "docs" / "troubleshooting.md"
PAGES: dict[str, tuple[int, str, bytes]] = {
    "/healthz": (200, "application/json", b'{"status": "ok"}'),
    "/down": (200, "application/json", b'{"status": "DOWN"}'),
    "/500": (500, "text/plain", b"boom"),
    "/version": (200, "application/json", b'{"revision": "v1"}'),
    "/other": (200, "application/json", b'{"build": "v1"}'),
    "/page": (200, "text/html", b"<!doctype html><title>Error</title>"),
    "/items": (200, "application/json", b'{"items": "none"}'),
    "/login": (401, "application/json", b"{}"),
}
GOOD = """\
version = 1
project = "shop"

[environments.production]
protected = true
absent    = ["auth", "workflows", "postgres", "redis"]

[environments.production.services.shop]
url     = "{address}"
health  = "/healthz"
version = { path = "/version", pointer = "/revision", connections = 4 }
"""
BROKEN = """\
version = 1
project = "shop"

[environments.dev.services]
stopped = { url = "http://127.0.0.1:{closed}", health = "/healthz" }
plain   = { url = "{secure}", health = "/healthz" }
unnamed = { url = "http://shop.invalid:8080", health = "/healthz" }
down    = { url = "{address}", health = "/down", version = { path = "/other", pointer = "/revision", connections = 2 } }
boom    = { url = "{address}", health = "/500", version = { path = "/gone", pointer = "/revision", connections = 2 } }
[environments.dev.services.api]
url = "{address}"

[environments.dev.services.api.endpoints]
text    = { request = "GET /page", status = 200, contains = "<title>Shop" }
status  = { request = "GET /500", status = 200 }
type    = { request = "GET /page", status = 200, content_type = "application/json" }
schema  = { request = "GET /items", status = 200, schema = "items.json" }
budget  = { request = "GET /healthz", status = 200, budget = "1us" }
open    = { request = "GET /healthz", allow = ["customer"] }

[environments.dev.auth]
kind    = "json"
service = "api"
login   = "POST /login"
token   = "/token"
[environments.dev.auth.roles]
customer = { user = "c", password = { file = "password" } }
admin    = { user = "a", password = { env = "SHOP_ADMIN" } }

[environments.dev.postgres.shop]
nodes = ["127.0.0.1:{closed}"]
user  = "prodcheck"

[environments.dev.redis.cache]
nodes = ["127.0.0.1:{closed}"]

[[waivers]]
check       = "smoke.service.health"
target      = "boom"
environment = "dev"
reason      = "until the release"
owner       = "team-web"
ticket      = "WEB-1"
expires     = 2026-01-31
"""
WRONG = """\
version = 1
project = "shop"
colour  = "red"
[environments.production]
protected = "yes"
[environments.production.services.shop]
url     = "shop.example"
helth   = "/healthz"
timeout = "5 minuts"
[environments.production.services.api]
health = "healthz"
[environments.production.services.api.endpoints]
one = { request = "/x", status = 200 }
[environments.production.postgres.db]
nodes    = ["db.example"]
password = "secret"
[thresholds]
"smoke.service.latency" = "1s"
[gates.after]
select = ["smoke.*"]
max_age = "15"
[[waivers]]
check = "smoke.service.version"
"""


class _Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, kind, body = PAGES.get(self.path, (404, "text/plain", b"not found"))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_HEAD = do_OPTIONS = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def plain(text: str) -> str:
    """Without the breaks of folded lines and the marks of code."""
    return " ".join(text.replace("`", "").split())


class Printed:
    """What all commands of the situations printed."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def by(self, project: Project, *words: str) -> None:
        done = project.prodcheck(*words)
        self.texts.append(f"$ prodcheck {' '.join(words)} => {done.returncode}\n{done.stdout}{done.stderr}")
        assert "Traceback" not in self.texts[-1], self.texts[-1]

    def by_pytest(self, project: Project, env: str, *words: str) -> None:
        done = project.pytest("-q", *words, env=env)
        self.texts.append(f"$ pytest --env {env} {' '.join(words)} => {done.returncode}\n{done.stdout}{done.stderr}")
        assert "Traceback" not in self.texts[-1], self.texts[-1]


def make(folder: Path, toml: str, address: str) -> Project:
    project = Project(folder)
    folder.mkdir()
    filled = toml.replace("{address}", address).replace("{secure}", address.replace("http:", "https:"))
    project.write("prodcheck.toml", filled.replace("{closed}", str(free_port())))
    return project


def of_gates(site: Project, printed: Printed) -> None:
    """One revision is judged; then the gate is asked in every wrong way."""
    asked, v1 = ("smoke", "--env", "production"), ("--revision", "v1")
    printed.by(site, "gate", *asked, *v1)
    printed.by(site, "gate", "smoke", "--env", "prod")
    printed.by(site, "gate", "smok", *asked[1:])
    printed.by(site, "gate", *asked, "--unit", "buying")
    printed.by(site, "gate", *asked, "--revision", "")
    printed.by(site, "gate", *asked, "--max-age", "15")
    printed.by(site, "run", *asked)
    printed.by_pytest(site, "production", *v1)
    printed.by(site, "gate", *asked)
    printed.by(site, "gate", *asked, "--revision", "v2")
    printed.by(site, "gate", *asked, *v1, "--max-age", "1ms")
    printed.by(site, "gate", *asked, *v1, "--max-age", "30d")
    printed.by(site, "exec", *asked, *v1)
    printed.by(site, "exec", *asked, "--revision", "v2", "--", "echo")
    printed.by(site, "exec", *asked, *v1, "--", "./deploy-is-not-here")
    (file,) = (site.folder / ".prodcheck" / "verdicts").rglob("smoke.json")
    verdict = file.read_text(encoding="utf-8")
    for place, version in (("changed.json", verdict.replace('"v1"', '"v2"')), ("cut.json", verdict[:200])):
        site.write(place, version)
        printed.by(site, "gate", *asked, *v1, "--verdict", place)
    printed.by(site, "gate", *asked, *v1, "--verdict", "none.json")
    (site.folder / ".prodcheck" / "key").rename(site.folder / "key")
    printed.by(site, "gate", *asked, *v1)
    (site.folder / "key").rename(site.folder / ".prodcheck" / "key")
    saved = next((site.folder / ".prodcheck" / "runs").iterdir()).name
    printed.by_pytest(site, "production", *v1, "--evidence-from", saved)
    site.edit("protected = true", "protected = true  # really")
    printed.by(site, "gate", *asked, *v1)
    printed.by_pytest(site, "production", "--revision", "v2")
    printed.by_pytest(site, "production", *v1, "-k", "latency")
    printed.by_pytest(site, "production", *v1, "-m", "pre_deploy")
    site.edit(', "redis"]', "]")
    printed.by_pytest(site, "production", *v1)


def of_commands(site: Project, printed: Printed) -> None:
    """Mistakes on the command line."""
    asked = ("--env", "production", "--revision", "v1")
    for words in (
        ("doktor",), ("-C", ".", "validate"), ("run", "smoke"), ("explain", "smoke.service.versoin"),
        ("show", "yesterday"), ("history", "smoke.service.versoin", "--env", "production"), ("init",),
        ("plan", "--suite", "smokes", "--env", "production"), ("checks", "smoke.nothing.*"),
        ("override", "smoke", *asked, "--reason", "x", "--ticket", "T-1", "--for", "2d"),
        ("doctor", *asked[:2]), ("comment", *asked[:2]), ("record-backup", "shop", *asked[:2], "-o", "x"),
        ("validate", "--config", "nowhere"), ("validate", "nowhere.toml"),
    ):  # fmt: skip
        printed.by(site, *words)
    revision = asked[2:]
    for more in (
        ("--tx", "ssh=other"), ("-m", "smok"), ("--allow-load", "nothing"), ("smoke.service.versoin",),
        ("--slot", "green"),
    ):  # fmt: skip
        printed.by_pytest(site, "production", *revision, *more)



@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory, address: str) -> list[str]:
    """What each command of all situations printed."""
    told, folder = Printed(), tmp_path_factory.mktemp("messages")
    site = make(folder / "good", GOOD, address)
    of_gates(site, told)
    of_commands(site, told)
    site = make(folder / "broken", BROKEN, address)
    site.write("items.json", '{"properties": {"items": {"type": "array"}}}')
    site.write("password", "wrong-password\n")
    told.by_pytest(site, "dev", "--revision", "v2")
    told.by(site, "report")
    site = make(folder / "wrong", WRONG, address)
    told.by(site, "validate")
    (site.folder / "prodcheck.toml").unlink()
    told.by(site, "validate")
    told.by_pytest(site, "dev")
    return [plain(text) for text in told.texts]


# messages that need another user, a damaged installation or a whole system: shown by tests of their own
ELSEWHERE = (
    "the verdict was made by prodcheck A", "… belongs to another user", "Python skips ", "3 of 44 ", "… perhaps by",
    "opt-in", "out-of-reach", "may not read it", "no positive evidence: no check of this gate",
    "another run has started", "there is no verdict yet", "ended in an unknown phase",
    "the run could not be saved", ".prodcheck cannot be written",
    "another deployment is in progress", "the certificate is not trusted", "asking PostgreSQL needs psycopg",
)  # fmt: skip


def rows() -> list[str]:
    """The messages of the page, without the marks of code; `…` stands for what differs each time."""
    text = PAGE.read_text(encoding="utf-8")
    return [found.strip() for _, found in re.findall(r"^\| (?:skipped )?(`{1,2})(.+?)\1 \|", text, re.M)]


def is_in(message: str, text: str) -> bool:
    """Whether a text has the parts of a message between its `…`, one after another."""
    place = 0
    for part in plain(message).split("…"):
        place = text.find(part.strip(), place)
        if place < 0:
            return False
        place += len(part.strip())
    return True


def test_each_message_of_the_page_is_printed(printed: list[str]) -> None:
    found = [each for each in rows() if not each.startswith(ELSEWHERE)]
    assert len(found) == len(set(found)) >= 60
    assert [each for each in found if not any(is_in(each, text) for text in printed)] == []


def test_the_others_are_in_the_source() -> None:
    """14 characters of each in a row, or all of it, are some module's own."""
    root = PAGE.parent.parent
    modules = (path for folder in ("pytest_prodcheck", "suites") for path in (root / folder).rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text(encoding="utf-8") for path in modules))

    def parts(text: str) -> Iterator[str]:
        size = min(14, len(text))
        return (text[at : at + size] for at in range(len(text) - size + 1))

    others = [each for each in rows() if each.startswith(ELSEWHERE)]
    assert len(others) >= len(ELSEWHERE) - 1
    assert [text for text in others if not any(part in joined for part in parts(text))] == []
