"""The API's answers that are no good ones: tried again where that helps, never half a list, each with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from pytest_prodcheck.environments.loading import load
from pytest_prodcheck.environments.redaction import Redactor
from pytest_prodcheck.environments.secrets import SecretResolver
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.kubernetes.api import api
from pytest_prodcheck.evidence.kubernetes.cluster import kubernetes_api, kubernetes_nodes
from pytest_prodcheck.evidence.kubernetes.workload_pods import kubernetes_pods
from pytest_prodcheck.gates.root_causes import root_causes
from pytest_prodcheck.outcomes import Outcome, Result
from pytest_prodcheck.records import EvidenceProblem
from tests.cluster.control_plane import NOBODY, READER, ControlPlane
from tests.cluster.faults import Bench
from tests.cluster.front import Front, front
from tests.project import Project

PODS = "/api/v1/namespaces/shop/pods"


def context_for(folder: Path, kubeconfig: str = "") -> Context:
    named = f'kubeconfig = "{kubeconfig}"\n' if kubeconfig else ""
    (folder / "prodcheck.toml").write_text(
        f'version = 1\n[environments.c.kubernetes]\nnamespace = "shop"\nreach = ["namespace", "nodes"]\n{named}'
    )
    configuration = load(folder / "prodcheck.toml")
    return Context(
        configuration.environment("c"), folder, secrets=SecretResolver(folder), redactor=Redactor(), revision="r1"
    )


@pytest.fixture
def fronted(bench: Bench, plane: ControlPlane, tmp_path: Path) -> Iterator[tuple[Front, Context]]:
    with front(plane) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        (tmp_path / "kubeconfig").write_bytes(plane.kubeconfig("fronted", READER, address).read_bytes())
        yield server, context_for(tmp_path, "kubeconfig")


def names(context: Context, deadline: Deadline | None = None) -> list[str]:
    return [each["metadata"]["name"] for each in api(context, Deadline(10)).items(PODS, deadline or Deadline(10))]


def test_a_list_is_read_page_by_page(fronted: tuple[Front, Context]) -> None:
    server, context = fronted
    whole = names(context)
    server.limit = 1
    assert sorted(names(context)) == sorted(whole)
    assert len([path for path in server.asked if "continue=" in path]) == len(whole) - 1
    assert len(whole) == 4


@pytest.mark.parametrize("trouble", [["429"], ["500"], ["503", "503"], ["cut"], ["ok", "429", "ok", "cut"]])
def test_what_passes_is_asked_again(trouble: list[str], fronted: tuple[Front, Context]) -> None:
    server, context = fronted
    server.limit = 1
    server.trouble[:], server.where = trouble, PODS
    assert len(names(context)) == 4


def test_a_list_that_is_gone_half_way_is_begun_again(fronted: tuple[Front, Context]) -> None:
    server, context = fronted
    server.limit, server.where = 1, "continue="
    server.trouble[:] = ["ok", "410"]
    deadline = Deadline(10)
    found = names(context, deadline)
    assert len(found) == len(set(found)) == 4
    assert any("started again" in note for note in deadline.notes)


@pytest.mark.parametrize(
    ("trouble", "kind", "words"),
    [
        (["410"] * 10, "protocol", "was interrupted"),
        (["429"] * 10, "protocol", "429"),
        (["500"] * 10, "protocol", "500"),
        (["cut"] * 10, "reset", "pods"),
        (["garbage"], "protocol", "no JSON object"),
        (["hang"], "timeout", "pods"),
    ],
    ids=["gone", "throttled", "broken", "cut", "sign-in page", "hangs"],
)
def test_what_stays_is_no_list(trouble: list[str], kind: str, words: str, fronted: tuple[Front, Context]) -> None:
    server, context = fronted
    server.trouble[:], server.where = trouble, PODS
    with pytest.raises(EvidenceProblem) as raised:
        names(context, Deadline(5))
    assert raised.value.problem.kind == kind
    assert words in raised.value.problem.message


def test_who_may_not_read_is_told_which_right_is_missing(bench: Bench, plane: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_bytes(plane.kubeconfig("nobody", NOBODY).read_bytes())
    context = context_for(tmp_path, "kubeconfig")
    with pytest.raises(EvidenceProblem, match=r'cannot list resource "nodes"') as raised:
        kubernetes_nodes.gather("shop", context, Deadline(10))
    assert raised.value.problem.kind == "denied"
    assert "grants" in raised.value.problem.hint


def test_a_token_from_an_exec_plugin(bench: Bench, plane: ControlPlane, tmp_path: Path) -> None:
    """Clusters of the big clouds give tokens by a program that the kubeconfig names."""
    document = json.loads(plane.kubeconfig("exec", READER).read_text())
    kind = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    (tmp_path / "answer.json").write_text(json.dumps({**kind, "status": {"token": READER}}))
    plugin = {"apiVersion": kind["apiVersion"], "command": "cat", "args": [f"{tmp_path}/answer.json"]}
    document["users"][0]["user"] = {"exec": {**plugin, "interactiveMode": "Never"}}
    (tmp_path / "kubeconfig").write_text(json.dumps(document))
    context = context_for(tmp_path, "kubeconfig")
    assert len(kubernetes_pods.gather("shop", context, Deadline(20)).pods) == 4
    assert READER not in context.redactor.redact(f"token {READER}")


def test_within_a_pod_its_service_account_is_used(
    bench: Bench, plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment and the two files that a kubelet gives a pod; only the files lie in another folder."""
    from kubernetes.config import incluster_config

    for name, content in (("TOKEN", READER), ("CERT", (plane.place / "certs" / "apiserver.crt").read_text())):
        (tmp_path / name).write_text(content)
        monkeypatch.setattr(incluster_config, f"SERVICE_{name}_FILENAME", str(tmp_path / name))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(plane.port))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    context = context_for(tmp_path)
    assert len(kubernetes_pods.gather("shop", context, Deadline(20)).pods) == 4
    assert READER not in context.redactor.redact(f"token {READER}")


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "kubeconfig cannot be used"), ("{", "kubeconfig cannot be used"), ("a: b", "kubeconfig cannot be used")],
)
def test_a_kubeconfig_that_is_none(text: str, words: str, tmp_path: Path) -> None:
    pytest.importorskip("kubernetes", reason="no Kubernetes client: pip install kubernetes")
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(EvidenceProblem, match=words) as raised:
        api(context_for(tmp_path, "kubeconfig"), Deadline(5))
    at = raised.value.problem.at
    checks = [f"pre_deploy.kubernetes.{each}" for each in ("api", "nodes", "pods")]
    met = [Result(each, "shop", Outcome.ERRORED, unreached=at) for each in checks]
    assert set(root_causes(met).values()) == {met[0].identity}, "the cause is told once"


def test_a_kubeconfig_that_trusts_everybody_is_refused(bench: Bench, plane: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_bytes(plane.kubeconfig("admin", READER).read_bytes())
    with pytest.raises(EvidenceProblem, match="insecure-skip-tls-verify"):
        api(context_for(tmp_path, "kubeconfig"), Deadline(5))


def test_a_server_without_tls_is_refused_on_other_machines(tmp_path: Path) -> None:
    """The token would go in clear text, and anybody could answer; HTTP on this machine is that of `kubectl proxy`."""
    pytest.importorskip("kubernetes", reason="no Kubernetes client: pip install kubernetes")
    text = (
        "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], "
        "users: [{name: a, user: {token: t}}], clusters: [{name: a, cluster: {server: 'SERVER'}}]}"
    )
    for server, refused in (
        ("http://10.0.0.1:8080", True), ("HTTP://api.shop.example", True), ("api.shop.example:8080", True),
        ("10.0.0.1:8080", True), ("http://127.0.0.1:8001", False), ("https://10.0.0.1:6443", False),
    ):  # fmt: skip
        (tmp_path / "kubeconfig").write_text(text.replace("SERVER", server))
        with pytest.raises(EvidenceProblem, match="without TLS") if refused else nullcontext():
            api(context_for(tmp_path, "kubeconfig"), Deadline(5))


def test_a_server_that_is_not_there(bench: Bench, plane: ControlPlane, tmp_path: Path) -> None:
    file = plane.kubeconfig("away", READER, "https://127.0.0.1:9")
    (tmp_path / "kubeconfig").write_bytes(file.read_bytes())
    with pytest.raises(EvidenceProblem) as raised:
        api(context_for(tmp_path, "kubeconfig"), Deadline(5)).get("/version", Deadline(5))
    assert raised.value.problem.kind == "refused"


def test_the_printed_rights_are_enough_and_no_more(bench: Bench, plane: ControlPlane, tmp_path: Path) -> None:
    """`prodcheck grants --kubernetes` is applied as it is printed; its service account may list, and nothing else."""
    (tmp_path / "kubeconfig").write_bytes(plane.kubeconfig("nobody", NOBODY).read_bytes())
    context_for(tmp_path, "kubeconfig")
    project = Project(tmp_path)
    done = project.prodcheck("grants", "--env", "c", "--kubernetes")
    assert done.returncode == 0, done.stderr
    plane.apply(*json.loads(done.stdout)["items"])
    token = plane.ask(
        "POST", "/api/v1/namespaces/shop/serviceaccounts/prodcheck/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )[1]["status"]["token"]  # fmt: skip
    (tmp_path / "kubeconfig").write_bytes(plane.kubeconfig("printed", token).read_bytes())
    context = context_for(tmp_path, "kubeconfig")
    found = kubernetes_api.gather("shop", context, Deadline(20))
    assert found.ready
    assert found.forbidden == ()
    assert "list nodes" in found.allowed
    assert len(kubernetes_pods.gather("shop", context, Deadline(20)).pods) == 4
    with pytest.raises(EvidenceProblem, match="forbidden"):
        api(context, Deadline(5)).get("/api/v1/namespaces/shop/secrets", Deadline(5))
