"""One big run whose every string is hostile: what targets say and what prodcheck.toml says, in every output."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.evidence.http.servers import Answer, Seen, web
from tests.hostile.support import bare, is_readable, measured
from tests.project import Project
from tests.reports.hostile import STRINGS
from tests.reports.test_sarif import valid

CI_COMMAND = re.compile(r"(?im)^\s*::[A-Za-z-]+(\s|::)|##\[|##vso\[|##teamcity\[|section_(start|end):\d")
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b\ufeff\ud800-\udfff]")
FORGED = re.compile(r"(?m)^\s*🟢 OPEN")
LONG = "w" * 900_000
TEXTS = [*STRINGS, LONG, "../../../../etc/passwd", "/abs/../x\0y", "{run}{nope}%s%n{0}"]
SHORT = [each for each in TEXTS if len(each) < 1000]


def answer(seen: Seen) -> Answer:
    """Says the text of the number in the path as a state, a revision, a header, a page."""
    number = int((re.search(r"\d+", seen.path) or ["0"])[0]) % len(TEXTS)
    text = TEXTS[number]
    kind = {"Content-Type": "application/json"}
    if seen.path.startswith("/header"):
        value = "".join(each for each in text if each not in "\r\n").encode("latin-1", "replace").decode("latin-1")
        return 302, {"Location": value[:2000], "X-Evil": value[:2000], "Content-Type": value[:2000]}, b""
    if seen.path.startswith("/page"):
        return 200, {"Content-Type": "text/html"}, text.encode("utf-8", "surrogatepass")
    if seen.path.startswith("/openapi"):
        document = {"openapi": text, "info": {"title": text}, "paths": {text: {text: {"responses": text}}}}
        return 200, kind, json.dumps(document).encode()
    return 200, kind, json.dumps({"status": text, "id": text[:1900], "items": [text]}).encode()


def quoted(text: str) -> str:
    """A TOML string."""
    kept = text.encode("utf-8", "replace").decode()
    kept = kept.replace("{", "{{").replace("}", "}}")
    return json.dumps(kept, ensure_ascii=False).replace("\x7f", "\\u007f")


def configuration(port: int) -> str:
    toml = [
        "version = 1",
        f"project = {quoted(''.join(SHORT))}",
        'runbooks = "https://runbooks.example/<script>/{runbook}?\\u001b[31m\\"onclick=x"',
        "[environments.dev]",
        'revision = "r::error::<script>[31m"',
    ]
    for number, text in enumerate(TEXTS):
        owner = quoted(text[:5000])
        toml += [
            f"[environments.dev.services.s{number}]",
            f'url = "http://127.0.0.1:{port}"\nowner = {owner}\nhealth = "/health/{number}"',
            f'version = {{ path = "/version/{number}", pointer = "/status", connections = 1 }}',
            f'openapi = "/openapi/{number}"',
            f"[environments.dev.services.s{number}.endpoints]",
            f'page = {{ request = "GET /page/{number}", status = 200, contains = {quoted(text[:3000])} }}',
            f'json = {{ request = "GET /json/{number}", status = 201, schema = "schema.json" }}',
            f'header = {{ request = "GET /header/{number}", status = 200, content_type = {quoted(text[:3000])} }}',
            f"[environments.dev.dependencies.d{number}]",
            f"dns = {quoted(text[:300] or 'x')}\nowner = {owner}\ntimeout = '1s'",
            f"[environments.dev.workflows.w{number}]",
            f"owner = {owner}\nsteps = [",
            f'  {{ name = "a", request = "GET s{number}:/json/{number}", capture = {{ id = "/id" }} }},',
            '  { name = "b", request = "GET s0:/json/{id}", headers = { X-A = "{id}" }, json = { a = "{id}" }, '
            f"contains = {quoted(text[:3000])} }},\n]",
        ]
    toml += [
        "[[waivers]]",
        'check = "smoke.api.endpoint"\ntarget = "s0.page"\nenvironment = "dev"\nexpires = 2099-01-01',
        f"reason = {quoted(''.join(SHORT))}\nowner = {quoted(SHORT[0])}\nticket = {quoted(SHORT[3])}",
    ]
    return "\n".join(toml) + "\n"


class Elements(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.blob = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes |= set(found)
        self.links += [str(found[name]) for name in ("href", "src") if name in found]
        self.blob = found.get("data-jsonblob") or self.blob


def elements(text: str) -> Elements:
    parser = Elements()
    parser.feed(text)
    return parser


def strings_of(data: object) -> list[str]:
    if isinstance(data, str):
        return [data]
    parts = data.values() if isinstance(data, dict) else data if isinstance(data, list) else []
    return [text for each in parts for text in strings_of(each)]


def shown_safely(text: str, what: str, width: int = 60_000) -> None:
    for pattern in (OBEYED, CI_COMMAND):
        found = pattern.search(text)
        assert not found, f"{what}: {text[max(0, found.start() - 200) : found.end() + 50]!r}"
    assert max(map(len, text.splitlines()), default=0) < width, what


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    with web(answer) as server:
        project = bare(tmp_path_factory.mktemp("strings"), configuration(server.port))
        project.write("schema.json", '{"type": "object", "properties": {"status": {"enum": ["x"]}}, "required": ["y"]}')
        ended = measured(
            project, "--prodcheck-report", "r.txt", "--junit-xml", "r.xml", "--html", "r.html",
            "--prodcheck-sarif", "r.sarif", "--self-contained-html", "-rA", "--showlocals", "-o", "junit_logging=all",
        )  # fmt: skip
    project.write("stdout", ended.stdout)
    project.write("stderr", ended.stderr)
    assert ended.code in (1, 13), ended.stdout[-2000:] + ended.stderr[-2000:]
    assert is_readable(ended.stdout + ended.stderr)
    assert len(ended.results()) > 100
    return project


def read(project: Project, name: str) -> str:
    return (project.folder / name).read_bytes().decode("utf-8")


@pytest.mark.parametrize("name", ["stdout", "stderr", "r.txt"])
def test_text(project: Project, name: str) -> None:
    shown_safely(read(project, name), name)
    assert not FORGED.search(read(project, name))


@pytest.mark.parametrize("more", [(), ("--explain",), ("--format", "json"), ("--strict",)])
def test_the_gate(project: Project, more: tuple[str, ...]) -> None:
    done = project.prodcheck("gate", "smoke", "--env", "dev", *more)
    assert done.returncode in (1, 3)
    shown_safely(done.stdout + done.stderr, "gate", width=200_000 if "json" in more else 60_000)
    assert is_readable(done.stderr)


@pytest.mark.parametrize(
    "words", [("env", "dev"), ("env",), ("plan", "smoke", "--env", "dev"), ("checks", "--env", "dev")]
)
def test_commands(project: Project, words: tuple[str, ...]) -> None:
    done = project.prodcheck(*words)
    shown_safely(done.stdout + done.stderr, " ".join(words))
    assert is_readable(done.stderr)


def test_json(project: Project) -> None:
    text = read(project, "run.json")
    assert json.loads(text)["run"]["project"].count("##vso[") == 1  # shown otherwise, and means the same
    assert not OBEYED.search(text.replace("\n", ""))
    assert not CI_COMMAND.search(text)


def test_sarif(project: Project) -> None:
    text = read(project, "r.sarif")
    run = valid(text)
    assert len(run["results"]) > 100
    assert not OBEYED.search(text.replace("\n", ""))
    assert not CI_COMMAND.search(text)
    for said in strings_of(run):
        assert not OBEYED.search(said.replace("\n", "")), said[:200]


def test_junit(project: Project) -> None:
    tree = ElementTree.parse(project.folder / "r.xml")
    known = {"testsuites", "testsuite", "properties", "property", "testcase", "failure", "error", "skipped",
             "system-out", "system-err"}  # fmt: skip
    assert {each.tag for each in tree.iter()} <= known
    for each in tree.iter():
        for text in (each.text or "", *each.attrib.values()):
            shown_safely(text, f"junit {each.tag}")


def test_html(project: Project) -> None:
    page = read(project, "r.html")
    outer = elements(page)
    data = json.loads(outer.blob)
    del data["title"]  # shown as text: the page's own <title> and <h1>, which `outer` has
    inner = [elements(text) for text in strings_of(data)]
    tags = {tag for each in inner for tag in each.tags}
    assert not {"svg", "error", "failure"} & set(outer.tags)
    assert outer.tags.count("img") <= 1  # the page's own
    assert not tags & {"script", "img", "svg", "iframe", "object", "embed", "form", "style", "base", "meta"}, tags
    assert outer.tags.count("script") <= 3
    for each in (outer, *inner):
        events = {name for name in each.attributes if name.startswith("on")}
        assert not events - {"onload"} or each is outer, events
        assert not [link for link in each.links if unquote(link).strip().lower().startswith(("javascript:", "data:t"))]
    assert "alert(1)" not in "".join(re.findall(r"(?s)<script[^>]*>(.*?)</script>", page))


def test_files_stay_in_their_folder(project: Project) -> None:
    state = project.folder / ".prodcheck"
    for path in state.rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9_.@-]+", path.name), path
        assert Path(path).resolve().is_relative_to(state.resolve())
        assert path.stat().st_size < 4_000_000
