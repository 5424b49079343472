"""A canary in every place a secret can be, against servers that give it back in every way: it is nowhere to be read."""

from __future__ import annotations

import base64
import html
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_prodcheck.catalogue import suites_with_checks
from tests.evidence.http.servers import Answer, Seen, web
from tests.evidence.network.speakers import say, speaker
from tests.hostile.test_stores import message
from tests.project import Project

# where a secret is declared -> its value; characters that each encoding writes differently
CANARIES = {
    name: f"c4nary-{name}/+ä\"<&>'=é?{number}"
    for number, name in enumerate(
        ("env", "file", "command", "bearer", "postgres", "redis", "role", "client", "own", "seal")
    )
}
# what only a server knows: a session, tokens
GIVEN = {
    "cookie": "c4nary-cookie-5e55i0n",
    "token": "c4nary-token-0123456789abcdef",
    "oauth": "c4nary-oauth-abcdef0123456789",
}
CANARIES["bearer"] = "c4nary-bearer/+abcdef=0"  # a header's value: plain letters
CHECKS = '''\
import logging
import os
import warnings
from dataclasses import dataclass

from pytest_prodcheck import Deadline, check, collector, judge


@dataclass(frozen=True)
class Fact:
    text: str


@collector("fact", settings={"value": float, "password": str})
def gather_fact(settings, deadline: Deadline) -> Fact:
    return Fact("seen with " + str(settings["password"]))


@check("t.smoke.leaks", suite="smoke", severity="high", needs={"fact": "fact"})
def test_leaks(fact, record_property):
    """Says it everywhere."""
    secret = os.environ["CANARY_ENV"]
    print("printed", secret, fact.text)
    os.write(1, ("written " + secret).encode())
    logging.getLogger("t").warning("logged %s", secret)
    record_property("note", secret)
    judge("says " + secret, False, of=secret, reason=f"is {secret} and {fact.text}")


@check("t.smoke.raises", suite="smoke", severity="low", needs={"fact": "fact"})
def test_raises(fact):
    """Raises with it."""
    secret = os.environ["CANARY_ENV"]
    raise KeyError("no " + secret + fact.text)


@check("t.smoke.compares", suite="smoke", severity="low", needs={"fact": "fact"})
def test_compares(fact):
    """Shows it by pytest's own comparison."""
    secret = os.environ["CANARY_ENV"]
    assert fact.text == {"secret": [secret] * 3}
'''
TOML = """\
version = 1
pass_environment = ["CANARY_COMMAND"]
project = "secrets"
checks = ["checks"]

[environments.dev]
revision = "r1"
[environments.dev.own.fact]
value = 1.0
password = {{ env = "CANARY_OWN" }}

[environments.dev.services.bearer]
url = "http://127.0.0.1:{port}/bearer"
health = "/healthz"
version = {{ path = "/version", pointer = "/revision", connections = 2 }}
authentication = {{ bearer = {{ env = "CANARY_BEARER" }} }}
endpoints.echo = {{ request = "GET /echo?token=x", status = 201, headers = {{ X-Run = "{{run}}" }} }}
endpoints.guarded = {{ request = "GET /guarded", status = 200, allow = ["user"] }}

[environments.dev.services.basic]
url = "http://127.0.0.1:{port}/basic"
health = "/healthz"
authentication = {{ basic = {{ user = "u", password = {{ file = "password" }} }} }}
endpoints.echo = {{ request = "POST /echo", safe = true, status = 201, json = {{ a = 1 }} }}

[environments.dev.services.command]
url = "http://127.0.0.1:{port}/command"
health = "/healthz"
authentication = {{ basic = {{ user = "u", password = {{ command = ["./secret.sh"] }} }} }}

[environments.dev.services.environment]
url = "http://127.0.0.1:{port}/environment"
health = "/healthz"
authentication = {{ basic = {{ user = "u", password = {{ env = "CANARY_ENV" }} }} }}

[environments.dev.auth]
service = "bearer"
{auth}

[environments.dev.postgres.db]
nodes = ["{postgres}"]
password = {{ env = "CANARY_POSTGRES" }}
tls = {{ mode = "disable" }}

[environments.dev.redis.cache]
nodes = ["{redis}"]
user = "u"
password = {{ env = "CANARY_REDIS" }}

[environments.dev.workflows.buy]
steps = [
  {{ name = "a", request = "POST bearer:/token", as = "user", json = {{ x = 1 }}, capture = {{ t = "/echo" }} }},
  {{ name = "b", request = "GET bearer:/{{t}}", as = "user", status = 299 }},
]
"""
AUTHS = {
    "json": """kind = "json"
login = "POST /token"
token = "/token"
logout = "POST /logout"
logout_revokes = true
wrong_password = { user = "nobody" }
roles.user = { user = "u", password = { env = "CANARY_ROLE" } }
""",
    "form": """kind = "form"
login = "POST /form"
cookie = "session"
wrong_password = { user = "nobody" }
roles.user = { user = "u", password = { env = "CANARY_ROLE" } }
""",
    "client_credentials": """kind = "client_credentials"
token_url = "TOKEN_URL"
roles.user = { client_id = "c", client_secret = { env = "CANARY_CLIENT" }, grant = "client_credentials" }
""",
}


def forms(value: str) -> set[str]:
    """The ways in which a value is commonly written."""
    raw = value.encode()
    return {
        value,
        base64.b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        base64.b64encode(b"u:" + raw).decode().rstrip("="),
        urllib.parse.quote(value, safe=""),
        urllib.parse.quote(value),
        urllib.parse.quote_plus(value),
        urllib.parse.quote(value, safe="").lower(),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(value)[1:-1])[1:-1],
        html.escape(value),
        html.escape(value, quote=False),
        repr(value)[1:-1],
    }


def echo(seen: Seen, known: Mapping[str, str]) -> Answer:
    """Gives back whatever it was sent and all that it knows, in body, headers and error text, in all forms."""
    everything = "\n".join(form for value in known.values() for form in sorted(forms(value)))
    everything += f"\n{seen.headers}\n{seen.body.decode(errors='replace')}"
    safe = urllib.parse.quote(CANARIES["bearer"], safe="")
    headers = {
        "Content-Type": "application/json",
        "Set-Cookie": f"session={GIVEN['cookie']}; Path=/; HttpOnly",
        "X-Echo": seen.headers.get("Authorization", "-").encode("latin-1", "replace").decode("latin-1"),
        "X-Other": f"{CANARIES['bearer']} {safe}",
        "Location": f"https://u:{safe}@127.0.0.1/?q={safe}&token={safe}",
    }
    document = {"status": everything, "revision": everything, "echo": everything[:1900]}
    status = 200
    if seen.path.endswith("/token"):
        good = b"nobody" not in seen.body and b"prodcheck-" not in seen.body
        document |= {"token": GIVEN["token"], "access_token": GIVEN["oauth"], "token_type": "Bearer"} if good else {}
        status = 200 if good else 401
    return status, headers, json.dumps(document).encode()


@dataclass
class Watcher:
    """Reads the command lines of all processes until it is told to stop: of new ones all the time."""

    seen: set[str] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        known: dict[str, float] = {}  # when a process is read again
        while not self.ended.wait(0.005):
            now = time.monotonic()
            there = [name for name in os.listdir("/proc") if name.isdigit()]
            for name in there:
                if now < known.get(name, 0):
                    continue
                known[name] = now + 0.5 if name in known else 0  # the second time it has become what it runs
                try:
                    with open(f"/proc/{name}/cmdline", "rb") as file:
                        self.seen.add(file.read().decode(errors="replace"))
                except OSError:
                    continue
            known = {name: known[name] for name in there}


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    found = Watcher()
    thread = threading.Thread(target=found.look, daemon=True)
    thread.start()
    yield found
    found.ended.set()
    thread.join(5)


def make(folder: Path, port: int, auth: str, postgres: str, redis: str) -> Project:
    auth = AUTHS[auth].replace("TOKEN_URL", f"http://127.0.0.1:{port}/token")
    toml = TOML.format(port=port, auth=auth, postgres=postgres, redis=redis)
    project = Project.make(folder / "project", toml=toml, checks=CHECKS)
    project.write("password", CANARIES["file"] + "\n")
    script = project.write("secret.sh", '#!/bin/sh\nprintf "%s" "$CANARY_COMMAND"\necho "err $CANARY_COMMAND" >&2\n')
    script.chmod(0o700)
    project.environ |= {f"CANARY_{name.upper()}": value for name, value in CANARIES.items() if name != "file"}
    project.environ["PRODCHECK_KEY"] = CANARIES["seal"] + "-0123456789abcdef"
    return project


def run(project: Project, *more: str) -> subprocess.CompletedProcess[str]:
    return project.pytest(
        "--prodcheck-report", "r.txt", "--prodcheck-json", "r.json", "--junit-xml", "r.xml", "--html", "r.html",
        "--prodcheck-sarif", "r.sarif",
        "-rA", "--showlocals", "-vv", "-o", "junit_logging=all", "-o", "log_cli=true", "--log-file", "run.log",
        "--log-level", "DEBUG", *more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("auth", "more"), [("json", ()), ("form", ("-n", "2")), ("client_credentials", ("--tb=native",))]
)
def test_no_secret_is_readable_anywhere(auth: str, more: tuple[str, ...], tmp_path: Path, watcher: Watcher) -> None:
    secret = CANARIES["postgres"].encode()
    refusal = message(b"E", b"SFATAL\0C28P01\0Mpassword " + secret + b' for "u" is wrong\0\0')
    cleartext = message(b"R", b"\0\0\0\x03")
    redis = f"-WRONGPASS {CANARIES['redis']} is no password\r\n".encode()
    unused = {"json": "client", "form": "client", "client_credentials": "role"}[auth]
    secrets = {name: value for name, value in CANARIES.items() if name not in (unused, "seal")}
    secrets |= {name: GIVEN[name] for name in {"json": ["token"], "form": ["cookie"]}.get(auth, ["oauth"])}
    with (
        web(lambda seen: echo(seen, secrets)) as server,
        speaker(say(cleartext + refusal)) as postgres,
        speaker(say(redis)) as cache,
    ):
        project = make(tmp_path, server.port, auth, postgres, cache)
        done = run(project, *more)
        told = [done.stdout, done.stderr]
        for words in ("gate smoke --env dev --explain", "gate smoke --env dev --format json", "env dev",
                      "plan smoke --env dev", "run smoke --env dev"):  # fmt: skip
            ended = project.prodcheck(*words.split())
            told += [ended.stdout, ended.stderr]
        requests = "\n".join(f"{each.headers}{each.body!r}" for each in server.requests)
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    assert base64.b64encode(b"u:" + CANARIES["file"].encode()).decode() in requests  # they were really used
    assert CANARIES["bearer"] in requests
    assert "[redacted]" in done.stdout
    found = leaks(tmp_path, told, watcher, secrets | {"seal": CANARIES["seal"]})
    assert not found, f"{len(found)} leaks:\n" + "\n".join(found[:12])


def leaks(folder: Path, told: list[str], watcher: Watcher, secrets: Mapping[str, str]) -> list[str]:
    """Where a secret is to be read: files, outputs, command lines."""
    kept = {"password", "secret.sh", "scanner.sh", "rules.json", "prodcheck.toml"}
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in kept and path.suffix != ".pyc"]
    texts = {str(path): path.read_text(encoding="utf-8", errors="replace") for path in files}
    wanted = {"r.txt", "r.json", "r.sarif", "r.xml", "r.html", "run.log", "run.json"}
    assert {Path(name).name for name in texts} >= wanted
    assert sum("/evidence/" in name for name in texts) > 10
    texts |= {f"output {number}": text for number, text in enumerate(told)}
    texts["process list"] = "\n".join(watcher.seen)
    assert sys.executable in texts["process list"]
    return [
        f"{name} as {form!r} in {where}: …{text[max(0, text.find(form) - 80) : text.find(form) + 20]!r}"
        for where, text in texts.items()
        for name, value in secrets.items()
        for form in sorted(forms(value))
        if form in text
    ]


MORE = """
[environments.dev.auth.tokens]
jwks = "/jwks"
refused = { expired = { env = "CANARY_SAMPLE" } }
[environments.dev.auth.throttling]
user = "nobody"
password = { env = "CANARY_THROTTLE" }
attempts = 3
[environments.dev.vulnerabilities.fetched]
format = "trivy"
url = "http://127.0.0.1:<port>/trivy"
image = "r/shop:1"
authentication = { bearer = { env = "CANARY_REPORT" } }
[environments.dev.vulnerabilities.failing]
format = "kube-bench"
command = ["./scanner.sh"]
[environments.dev.vulnerabilities.rules]
format = "gatekeeper"
report = "rules.json"
"""


def signed() -> tuple[str, str, bytes]:
    """A session token and an expired one as services give them, signed by one key, and the JWKS of that key."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    claims = {"sub": "c4nary-subject", "iss": "c4nary-issuer", "aud": "c4nary-audience"}
    tokens = [jwt.encode({**claims, "exp": at}, key, "RS256", {"kid": "1"}) for at in (4_102_444_800, 1_000_000_000)]
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return tokens[0], tokens[1], json.dumps({"keys": [{**public, "kid": "1", "use": "sig"}]}).encode()


def trivy(known: Mapping[str, str]) -> bytes:
    """A report whose every text holds all secrets in all forms, whole and so that the cut of a text lies within one."""
    everything = [form for value in known.values() for form in sorted(forms(value))]
    rows = [
        {"VulnerabilityID": f"CVE-{number}", "PkgName": form, "InstalledVersion": "x" * 280 + form,
         "FixedVersion": "y" * 290 + form, "Severity": "CRITICAL"}
        for number, form in enumerate(everything)
    ]  # fmt: skip
    document = {
        "SchemaVersion": 2, "CreatedAt": datetime.now(UTC).isoformat(), "ArtifactName": "r/shop:1",
        "Metadata": {"OS": {"Family": everything[0], "EOSL": True}},
        "Results": [{"Class": "os-pkgs", "Packages": [{}], "Vulnerabilities": rows}],
    }  # fmt: skip
    return json.dumps(document).encode()


def test_no_secret_of_the_other_suites_is_readable_anywhere(tmp_path: Path, watcher: Watcher) -> None:
    """All suites but smoke: what scanners report, what services answer to forged tokens, how programs fail."""
    report = "c4nary-report/+abcdef=7"
    secrets = {name: value for name, value in CANARIES.items() if name not in ("client", "seal")}
    token, sample, jwks = signed()
    throttle = "c4nary-throttle/+ä\"<&>'=é?8"
    secrets |= {"report": report, "throttle": throttle, "jwt": token, "sample": sample}
    known = dict(secrets)
    secrets["payload"] = token.split(".")[1][:56]  # also where a forgery has other times

    def answer(seen: Seen) -> Answer:
        if seen.path == "/trivy":
            return 200, {"Content-Type": "application/json"}, trivy(known)
        if seen.path.endswith("/jwks"):
            return 200, {"Content-Type": "application/json"}, jwks
        status, headers, body = echo(seen, known)
        return status, headers, body.replace(GIVEN["token"].encode(), token.encode())

    refusal = message(b"E", b"SFATAL\0C28P01\0Mpassword " + CANARIES["postgres"].encode() + b" is wrong\0\0")
    with (
        web(answer) as server,
        speaker(say(message(b"R", b"\0\0\0\x03") + refusal)) as postgres,
        speaker(say(f"-WRONGPASS {CANARIES['redis']} is no password\r\n".encode())) as cache,
    ):
        project = make(tmp_path, server.port, "json", postgres, cache)
        project.environ |= {"CANARY_REPORT": report, "CANARY_SAMPLE": sample, "CANARY_THROTTLE": throttle}
        toml = (project.folder / "prodcheck.toml").read_text(encoding="utf-8")
        project.write("prodcheck.toml", toml + MORE.replace("<port>", str(server.port)))
        text = f"{'z' * 290} {CANARIES['env']} {CANARIES['command']}"
        status = {"auditTimestamp": datetime.now(UTC).isoformat(), "totalViolations": 1,
                  "violations": [{"kind": "Pod", "name": CANARIES["own"], "message": text}]}  # fmt: skip
        constraint = {"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K", "metadata": {"name": "c"}}
        project.write("rules.json", json.dumps(constraint | {"status": status}))
        script = '#!/bin/sh\nprintf "%0590d $CANARY_COMMAND $CANARY_ENV" 7 >&2\nexit 3\n'
        project.write("scanner.sh", script).chmod(0o700)
        suites = [each for each in suites_with_checks() if each != "smoke"]
        done = run(project, "-m", " or ".join(suites))
        told = [done.stdout, done.stderr]
        for words in ("plan security --env dev", "gate security --env dev --explain"):
            ended = project.prodcheck(*words.split())
            told += [ended.stdout, ended.stderr]
        asked = "\n".join(f"{each.path} {each.headers}" for each in server.requests)
    assert done.returncode in (1, 13), done.stdout[-3000:] + done.stderr[-3000:]
    assert report in asked  # it was really used
    tried = {each for each in asked.split("'") if secrets["payload"] in each} - {f"Bearer {token}", f"Bearer {sample}"}
    assert len(tried) > 3  # so were forgeries
    assert "[redacted]" in done.stdout
    assert "scanner.sh ended with exit code 3" in (project.folder / "r.json").read_text(encoding="utf-8")
    found = leaks(tmp_path, told, watcher, secrets)
    assert not found, f"{len(found)} leaks:\n" + "\n".join(found[:12])
