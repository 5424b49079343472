"""What of a cluster is in reach: targets, features, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_prodcheck.environments.loading import load
from pytest_prodcheck.environments.toml.errors import ConfigurationError
from pytest_prodcheck.evidence.kubernetes.rights import manifest
from pytest_prodcheck.scope import Scope, make_scope

TOML = """\
version = 1
[environments.c.kubernetes]
namespace = "shop"
reach = ["namespace", "storage"]
vantage = "cluster"
[environments.c.services.web]
url = "https://www.shop.example"
workload = "deployment/web"
[environments.c.services.other]
url = "https://other.shop.example"
"""


ABSENT = 'absent = ["kubernetes"]'


def scope_of(folder: Path, text: str = TOML, vantage: str = "cluster") -> Scope:
    (folder / "prodcheck.toml").write_text(text)
    configuration = load(folder / "prodcheck.toml")
    return make_scope(configuration, configuration.environment("c"), run="r", vantage=vantage)


def test_what_reach_names_is_judged_and_the_rest_is_out_of_reach(tmp_path: Path) -> None:
    scope = scope_of(tmp_path)
    for each in (scope, Scope.parse(scope.dump())):
        (namespace,) = each.of_kind("kubernetes")
        assert (namespace.name, namespace.skip) == ("shop", "")
        assert each.of_kind("kubernetes", ["storage"])[0].skip == ""
        (nodes,) = each.of_kind("kubernetes", ["nodes"])
        assert (nodes.name, nodes.skip) == ("shop", "out-of-reach")
        assert "nodes may not be read here (kubernetes.reach)" in nodes.detail
        assert each.of_kind("kubernetes", ["manifests"])[0].skip == "not-configured"
        assert [target.name for target in each.of_kind("workload")] == ["web"]


def test_from_elsewhere_all_of_it_is_out_of_reach(tmp_path: Path) -> None:
    scope = scope_of(tmp_path, vantage="outside")
    assert {each.skip for kind in ("kubernetes", "workload") for each in scope.of_kind(kind)} == {"out-of-reach"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"deployment/web"', '"web"', "workload"),
        ('"deployment/web"', '"cronjob/web"', "workload"),
        ('["namespace", "storage"]', '["everything"]', "reach"),
        ('["namespace", "storage"]', "[]", "reach"),
        ('namespace = "shop"', 'namespace = "shop"\nkubeconfig = "gone"', "no file 'gone'"),
        ('namespace = "shop"', 'namespace = "shop"\nfield_manager = "argocd-controller"', "no meaning with apply"),
        ('namespace = "shop"', 'namespace = "shop"\napply = "helm"\nforce_conflicts = true', "no meaning with apply"),
        ("[environments.c.kubernetes]", f"[environments.c]\n{ABSENT}\n[environments.c.kubernetes]", "absent"),
    ],
)
def test_mistakes_are_told(old: str, new: str, words: str, tmp_path: Path) -> None:
    assert old in TOML
    with pytest.raises(ConfigurationError, match=words):
        scope_of(tmp_path, TOML.replace(old, new))


def test_the_rights_of_dry_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With files: their kinds, each where it lies, and `create` on pods where one is made; without them pods alone."""
    from pytest_prodcheck.cli import main

    (tmp_path / "prodcheck.toml").write_text(TOML.replace('vantage = "cluster"', 'manifests = ["out/{revision}.yaml"]'))
    monkeypatch.chdir(tmp_path)
    for files in ((), _FILES):
        for number, text in enumerate(files):
            (tmp_path / "out").mkdir(exist_ok=True)
            (tmp_path / "out" / f"r{number}.yaml").write_text(text)
        assert main(["grants", "--env", "c", "--kubernetes"]) == 0
        said = capsys.readouterr()
        assert ("are missing from this role" in said.err) == (not files)
        items = json.loads(said.out)["items"]
        found = {
            (each["kind"], each["metadata"].get("namespace", "")): each["rules"]
            for each in items
            if "rules" in each and each["metadata"]["name"] == "prodcheck-dry-run"
        }
        pods = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}
        verbs = ["get", "create", "patch"]
        if not files:
            assert found == {("Role", "shop"): [pods]}
            continue
        assert found == {
            ("ClusterRole", ""): [{"apiGroups": [""], "resources": ["namespaces"], "verbs": verbs}],
            ("Role", "other"): [pods, {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": verbs}],
            ("Role", "shop"): [
                pods,
                {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"], "verbs": verbs},
            ],
        }  # fmt: skip


_DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, namespace: other}
spec: {template: {spec: {containers: [{name: a, image: b}]}}}
"""
_FILES = (
    f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: other}}\n---\n{_DEPLOYMENT}",
    "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\n"
    "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n",
)


def test_the_rights_are_to_list_what_reach_names(tmp_path: Path) -> None:
    scope_of(tmp_path)
    cluster = load(tmp_path / "prodcheck.toml").environment("c").kubernetes
    assert cluster is not None
    made = manifest(cluster)
    assert [each["kind"] for each in made] == [
        "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding",
    ]  # fmt: skip
    rules = [rule for each in made for rule in each.get("rules", ())]
    assert {verb for rule in rules for verb in rule["verbs"] if rule["resources"] != ["namespaces"]} == {"list"}
    assert {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]} in rules
    named = {resource for rule in rules for resource in rule["resources"]}
    assert {"pods", "storageclasses"} <= named
    assert not {"secrets", "nodes", "runtimeclasses"} & named
    sandboxed = {"kind": "Pod", "spec": {"runtimeClassName": "kata"}}
    (role,) = (each for each in manifest(cluster, files=[sandboxed]) if each["kind"] == "ClusterRole")
    assert {"apiGroups": ["node.k8s.io"], "resources": ["runtimeclasses"], "verbs": ["list"]} in role["rules"]
