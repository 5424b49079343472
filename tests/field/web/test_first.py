"""What broke first is failed and told once; what could not be asked because of it stands beneath."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.field.web.certificates import Issued
from tests.field.web.support import free_port, program, running
from tests.hostile.support import bare
from tests.project import Project

ADDRESSES = "smoke.service.addresses"
CHECKS = f'["{ADDRESSES}", "smoke.service.health", "smoke.service.latency", "smoke.api.*"]'


def shop(folder: Path, port: int, *more: str, host: str = "shop.test") -> Project:
    """A shop with three endpoints at a port of loopback, and a gate that asks for it."""
    lines = [
        "version = 1", 'project = "t"', "[gates.g]", f"select = {CHECKS}", "[environments.t]",
        "[environments.t.services.shop]", f'url = "https://{host}:{port}"', f'connect_to = "127.0.0.1:{port}"',
        'health = "/"', 'timeout = "1s"', *more,
        *(line for name in "abc" for line in (
            f"[environments.t.services.shop.endpoints.{name}]", f'request = "GET /{name}"', "status = [200]")),
    ]  # fmt: skip
    return bare(folder / "judged", "\n".join(lines))


def asked(project: Project) -> tuple[dict[str, str], str]:
    """Outcomes by check and target, and what the terminal says."""
    import json

    words = ["--gate", "g", "--prodcheck-select", "--revision", "r", "--prodcheck-json", "run.json",
             "--prodcheck-report", "report.txt"]  # fmt: skip
    done = project.pytest(*words, env="t")
    assert (project.folder / "run.json").exists(), done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads((project.folder / "run.json").read_text(encoding="utf-8"))["run"]["results"]
    return {f"{each['check']} {each['target']}": each["outcome"] for each in found}, done.stdout


@contextlib.contextmanager
def tls(folder: Path, leaf: Issued, *more: str) -> Iterator[int]:
    """OpenSSL's own server with this certificate; yields its port."""
    port = free_port()
    file = str(leaf.write(folder / "leaf.pem", key=True))
    words = [program("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-cert", file, "-key", file, "-quiet",
             "-www", *more]  # fmt: skip
    with running(words, port, folder):
        yield port


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A peer that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield int(listener.getsockname()[1])


@contextlib.contextmanager
def dropping() -> Iterator[int]:
    """A literal address whose packets are dropped: the queue of connections is full, and nobody takes one."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(3):
            plug = stack.enter_context(socket.socket())
            plug.setblocking(False)
            plug.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


@contextlib.contextmanager
def broken(case: str, folder: Path) -> Iterator[tuple[int, str]]:
    """The port of a shop that users do not get through to, and its CA."""
    root = Issued("Root", None, -900, 900, ca=True)
    middle = Issued("Issuing CA", root, -400, 400, ca=True)
    ca = f'tls.ca = "{root.write(folder / "ca.pem")}"'
    with contextlib.ExitStack() as stack:
        if case == "dead":
            port = free_port()
        elif case == "dropping":
            port = stack.enter_context(dropping())
        elif case == "silent":
            port = stack.enter_context(silent())
        else:
            end = -1 if case == "expired" else 90
            issuer = middle if case == "incomplete" else root
            name = "other.test" if case == "other name" else "shop.test"
            port = stack.enter_context(tls(folder, Issued(name, issuer, -30, end, names=[name])))
        yield port, ca


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("expired", "certificate has expired"), ("incomplete", "intermediate certificates"),
        ("other name", "other names"), ("dead", "refuse"), ("silent", "within 1 s"),
        ("dropping", "no connection within 1 s"),
    ],
)  # fmt: skip
def test_users_are_out(case: str, said: str, tmp_path: Path) -> None:
    """A curl of the same address fails (7, 28, 60): so it is failed, not errored, and told first and once."""
    with broken(case, tmp_path) as (port, ca):
        project = shop(tmp_path, port, ca, host="127.0.0.1" if case == "dropping" else "shop.test")
        found, terminal = asked(project)
    assert found.pop(f"{ADDRESSES} shop") == "failed", terminal
    assert {outcome for outcome in found.values() if outcome != "skipped"} == {"errored"}, found
    for text in (terminal, (project.folder / "report.txt").read_text(encoding="utf-8")):
        assert said in " ".join(text.split()), text
        beneath = re.search(r"(\d+) more could not be checked because of this", " ".join(text.split()))
        assert beneath, text
        assert int(beneath[1]) == 5
    gate = terminal[terminal.index("BLOCKED") :]
    assert gate.index(ADDRESSES) < gate.index("smoke.service.health")
    assert gate.count(said) <= 3, gate


def test_one_of_two_addresses_is_no_root_of_it_all(tmp_path: Path) -> None:
    """Nothing else is hidden beneath a service that still answers: its own troubles stand for themselves."""
    from pytest_prodcheck.gates.root_causes import root_causes
    from pytest_prodcheck.outcomes import Judgement, Outcome, Result

    up, down = (Judgement("answers", ok, Outcome.PASSED if ok else Outcome.FAILED, of=str(ok)) for ok in (True, False))
    unsure = (Judgement("chain", None, Outcome.ERRORED, of="10.0.0.1"),)
    other = Result("security.tls.trust", "shop", Outcome.ERRORED, judgements=unsure)
    met = Result("smoke.service.health", "shop", Outcome.ERRORED, unreached="shop")
    half = Result(ADDRESSES, "shop", Outcome.FAILED, judgements=(up, down))
    assert root_causes([half, other, met]) == {met.identity: half.identity}
    whole = Result(ADDRESSES, "shop", Outcome.FAILED, judgements=(down,))
    assert set(root_causes([whole, other, met])) == {met.identity, other.identity}


def test_a_client_certificate_that_we_lack_is_ours(tmp_path: Path) -> None:
    """TLS 1.3: certificate_required (RFC 8446, 6.2) says that nothing is wrong with the server."""
    root = Issued("Root", None, -900, 900, ca=True)
    leaf = Issued("shop.test", root, -30, 90, names=["shop.test"])
    ca = str(root.write(tmp_path / "ca.pem"))
    with tls(tmp_path, leaf, "-Verify", "1", "-CAfile", ca, "-verify_return_error") as port:
        found, terminal = asked(shop(tmp_path, port, f'tls.ca = "{ca}"'))
    assert found[f"{ADDRESSES} shop"] == "errored", terminal
    assert "tls.certificate" in terminal


@pytest.mark.parametrize("where", ["192.0.2.7:443", "shop.invalid:443"])
def test_no_network_of_ours_is_nobodys_failure(where: str, tmp_path: Path) -> None:
    """In a network namespace without an interface nothing can be known of anybody."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces for this user; install: apt-get install util-linux")
    host = where.partition(":")[0]
    project = shop(tmp_path, 443, host=host)
    text = project.folder / "prodcheck.toml"
    text.write_text(re.sub(r"connect_to = .*\n", "", text.read_text(encoding="utf-8")), encoding="utf-8")
    words = [unshare, "-rn", sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--env", "t", "--gate", "g",
             "--prodcheck-select", "--revision", "r"]  # fmt: skip
    done = subprocess.run(words, cwd=project.folder, capture_output=True, text=True, timeout=100, check=False)
    assert "CANNOT TELL" in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]
    assert "BLOCKED" not in done.stdout
