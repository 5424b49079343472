"""What programs that we start get to see: a canary in every variable; and that they end with us."""

from __future__ import annotations

import ast
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import pytest_prodcheck
from pytest_prodcheck.child_processes import child_environment
from pytest_prodcheck.environments.secrets import SecretResolver
from pytest_prodcheck.environments.sections.base import SecretRef
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load import process
from pytest_prodcheck.evidence.tools import subprocesses
from pytest_prodcheck.evidence.vulnerabilities import scanner
from tests.evidence.contexts import context_for, problem_of
from tests.hostile.support import bare
from tests.project import Project

CANARIES = (
    "PRODCHECK_KEY", "PRODCHECK_DB", "DB_PASSWORD", "GITHUB_TOKEN", "CI_JOB_TOKEN", "AWS_SECRET_ACCESS_KEY",
    "VAULT_TOKEN", "TRIVY_PASSWORD", "PGPASSWORD", "PGHOST", "SSH_AUTH_SOCK", "DOCKER_CONFIG", "HTTPS_PROXY",
    "LD_PRELOAD", "PYTHONSTARTUP", "BASH_ENV", "ENV", "SOMETHING", "REGISTRY_TOKEN",
)  # fmt: skip


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CANARIES:
        monkeypatch.setenv(name, f"canary-{name}")


def canaries_in(text: str) -> set[str]:
    return {name for name in CANARIES if f"canary-{name}" in text}


def script(folder: Path, name: str = "tool") -> str:
    file = folder / name
    file.write_text("#!/bin/sh\nenv\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.usefixtures("canaries")
def test_each_program_sees_its_own_settings_alone() -> None:
    assert canaries_in(json.dumps(child_environment("tool"))) == set()
    assert canaries_in(json.dumps(child_environment("/usr/bin/vault"))) == {"VAULT_TOKEN", "HTTPS_PROXY"}
    assert canaries_in(json.dumps(child_environment("trivy"))) == {
        "TRIVY_PASSWORD", "DOCKER_CONFIG", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY"
    }  # fmt: skip
    assert canaries_in(json.dumps(child_environment("tool", ["SOME*", "REGISTRY_TOKEN"]))) == {
        "SOMETHING",
        "REGISTRY_TOKEN",
    }
    assert canaries_in(json.dumps(child_environment("tool", ["*"]))) == set(CANARIES) - {"PRODCHECK_KEY"}


@pytest.mark.usefixtures("canaries")
def test_a_scanner(tmp_path: Path) -> None:
    output = scanner.run([script(tmp_path)], [0], 100_000, tmp_path, Deadline(10), str)
    assert canaries_in(output.decode()) == set()


@pytest.mark.usefixtures("canaries")
def test_a_secret_command(tmp_path: Path) -> None:
    resolver = SecretResolver(tmp_path, ("SOMETHING",))
    assert canaries_in(resolver.resolve(SecretRef(command=(script(tmp_path),)))) == {"SOMETHING"}


@pytest.mark.usefixtures("canaries")
def test_programs_of_databases_and_backups(tmp_path: Path) -> None:
    assert canaries_in(subprocesses.run([script(tmp_path)], Deadline(10), folder=tmp_path).output) == set()


@pytest.mark.usefixtures("canaries")
def test_a_load(tmp_path: Path) -> None:
    with process._running_process((script(tmp_path),), tmp_path, context_for(tmp_path)) as child:
        child.wait(10)
    assert canaries_in((tmp_path / "output").read_text()) == set()


def test_whoever_starts_a_program_filters_its_environment() -> None:
    """One function decides what a child sees; `exec` runs the team's own deploy script, and `run` runs ourselves."""
    package = Path(pytest_prodcheck.__file__).parent
    wrong = []
    for file in package.rglob("*.py"):
        if file.relative_to(package).parts[0] in ("demo", "load") or file.name == "child_process.py":
            continue
        if file.parent.name == "deploy" and file.name == "programs.py":
            continue  # is given it: `child_environment` for a team's programs, ours for our own run
        tree = ast.parse(file.read_text())
        assigned = {ast.unparse(each.targets[0]): ast.unparse(each.value) for each in ast.walk(tree)
                    if isinstance(each, ast.Assign)}  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.Popen", "subprocess.run"):
                (given,) = [ast.unparse(each.value) for each in node.keywords if each.arg == "env"] or [""]
                given = assigned.get(given, given)
                if given != "{}" and not any(each in given for each in ("filtered(", "environment(", "kept")):
                    wrong.append(f"{file}:{node.lineno}")
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.system", "os.popen", "os.spawnv"):
                wrong.append(f"{file}:{node.lineno}")
    assert wrong == []


SPINNING = """
import os, re
open("spinning", "w").write(str(os.getpid()))
re.match("(a+)+$", "a" * 60 + "!")
"""


def test_pytest_dies_with_the_run_that_started_it(tmp_path: Path) -> None:
    """Killed, while a pattern holds the interpreter: nothing is left that spins."""
    project = Project.make(tmp_path)
    project.write("checks/test_spin.py", SPINNING)
    words = [sys.executable, "-m", "pytest_prodcheck.cli", "run", "smoke", "--env", "dev"]
    with subprocess.Popen(
        words, cwd=tmp_path, env=project.env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        until = time.monotonic() + 60
        while not (tmp_path / "spinning").exists() or not (tmp_path / "spinning").read_text():
            assert time.monotonic() < until
            assert run.poll() is None
            time.sleep(0.05)
        child = int((tmp_path / "spinning").read_text())
        run.kill()
    until = time.monotonic() + 10
    while is_running(child) and time.monotonic() < until:
        time.sleep(0.05)
    if is_running(child):
        os.kill(child, signal.SIGKILL)
        raise AssertionError("pytest went on without prodcheck run")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def test_a_run_with_a_scanner(tmp_path: Path) -> None:
    """The whole way, with `pass_environment`."""
    file = tmp_path / "scan.sh"
    file.write_text('#!/bin/sh\nenv > seen\necho \'{"dependencies":[{"name":"a","version":"1","vulns":[]}]}\'\n')
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    project = bare(
        tmp_path,
        'version = 1\npass_environment = ["SOMETHING"]\n[environments.dev]\nrevision = "r1"\n'
        '[environments.dev.vulnerabilities.deps]\nformat = "pip-audit"\ncommand = ["./scan.sh"]\n',
    )
    project.environ.update({name: f"canary-{name}" for name in CANARIES if name not in ("LD_PRELOAD", "PYTHONSTARTUP")})
    project.pytest("-m", "security")
    assert canaries_in((tmp_path / "seen").read_text()) == {"SOMETHING"}


def kubeconfig(folder: Path, user: dict[str, object]) -> str:
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": user}],
    }  # fmt: skip
    (folder / "kubeconfig").write_text(json.dumps(document))
    return str(folder / "kubeconfig")


CREDENTIAL = """#!/bin/sh
env > seen
echo $$ > number
%s
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t-4711"}}'
"""


def credential_program(folder: Path, more: str = "", name: str = "plugin") -> dict[str, object]:
    """What a kubeconfig has its token from; its path is relative to the kubeconfig."""
    file = folder / name
    file.write_text(CREDENTIAL % more)
    file.chmod(0o755)
    own = [{"name": "OWN", "value": "of the kubeconfig"}]
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": f"./{name}", "env": own,
                     "interactiveMode": "Never"}}  # fmt: skip


def kubeconfig_client(file: str | None, *passed: str) -> Any:
    client = pytest.importorskip("kubernetes.client", reason="pip install 'pytest-prodcheck[kubernetes]'")
    from pytest_prodcheck.evidence.kubernetes.kubeconfig import load_kubeconfig

    made = client.Configuration()
    load_kubeconfig(file, None, made, passed)
    return made


@pytest.mark.usefixtures("canaries")
def test_a_program_of_a_kubeconfig(tmp_path: Path) -> None:
    """The package kubernetes would hand it all that there is."""
    made = kubeconfig_client(kubeconfig(tmp_path, credential_program(tmp_path)), "SOMETHING")
    told = (tmp_path / "seen").read_text()
    assert made.get_api_key_with_prefix("BearerToken", alias="authorization") == "Bearer t-4711"
    assert (canaries_in(told), "OWN=of the kubeconfig" in told, "KUBERNETES_EXEC_INFO=" in told) == (
        {"SOMETHING"},
        True,
        True,
    )
    entry = credential_program(tmp_path, name="gke-gcloud-auth-plugin")
    kubeconfig_client(kubeconfig(tmp_path, entry))
    assert canaries_in((tmp_path / "seen").read_text()) == {"HTTPS_PROXY"}


@pytest.mark.parametrize(
    ("more", "words"),
    [("exec sleep 60", "did not end within 1 s"), ("echo a secret of it >&2; exit 3", "ended with 3"),
     ("echo no JSON", "printed no ExecCredential")],
)  # fmt: skip
def test_a_program_of_a_kubeconfig_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, words: str
) -> None:
    from pytest_prodcheck.evidence.kubernetes import kubeconfig as module

    monkeypatch.setattr(module, "_SECONDS", 1.0)
    problem = problem_of(lambda: kubeconfig_client(kubeconfig(tmp_path, credential_program(tmp_path, more))))
    assert words in problem.message
    assert not is_running(int((tmp_path / "number").read_text()))


def test_a_token_by_cmd_path_is_refused(tmp_path: Path) -> None:
    credential_program(tmp_path)
    config = {"cmd-path": str(tmp_path / "plugin"), "access-token": "x", "expiry": "2001-01-01T00:00:00Z"}
    problem = problem_of(
        lambda: kubeconfig_client(kubeconfig(tmp_path, {"auth-provider": {"name": "gcp", "config": config}}))
    )
    assert "use `exec`" in problem.message + problem.hint
    assert not (tmp_path / "seen").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("place", ["declared", "KUBECONFIG"])
def test_a_kubeconfig_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """It names programs that run as us, and files of ours (`tokenFile`) that are sent to a server of its own."""
    file = kubeconfig(tmp_path, credential_program(tmp_path))
    os.chown(file, 12345, 12345)
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("KUBECONFIG", f"{kubeconfig(own, {})}:{file}")
    given = file if place == "declared" else None
    problem = problem_of(lambda: kubeconfig_client(given))
    assert f"the kubeconfig {file} belongs to another user" in problem.message
    assert not (tmp_path / "seen").exists()
    monkeypatch.setenv("PRODCHECK_SAFE_DIRECTORY", str(tmp_path))
    kubeconfig_client(given)
