"""What of a cluster is in reach: targets, features, and what is said of the rest."""

from __future__ import annotations

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
    named = {resource for rule in rules for resource in rule["resources"]}
    assert {"pods", "storageclasses"} <= named
    assert not {"secrets", "nodes"} & named
