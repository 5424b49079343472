"""Reports of scanners in prodcheck.toml: what has to be said, and what a report becomes as a target."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.environments.targets import settings_of, targets
from tests.environments.support import BASE, load_text, mistakes

D = "sha256:" + "a" * 64
UNITS = '[environments.dev.units]\nshop = { services = ["shop"], owner = "team-shop" }\n'


def text(table: str) -> str:
    return f"{BASE}[environments.dev.vulnerabilities]\nimage = {{ {table} }}\n"


@pytest.mark.parametrize(
    "table",
    [
        f'format = "trivy", report = "r.json", image = "r/shop@{D}"',
        'format = "trivy", report = "r.json", image = "localhost:5000/shop:{revision}"',
        'format = "grype", run = [], image = "shop:1.2"',
        'format = "sarif", url = "https://a.test/r.sarif", revision = "{revision}"',
        'format = "pip-audit", report = "{unit}/{revision}.json", dated = "file"',
        'format = "pip-audit", run = ["-r", "requirements.txt"]',
        'format = "kube-bench", report = "r.json", dated = "file", max_age = "26h"',
        'format = "gatekeeper", command = ["kubectl", "get", "constraints", "-o", "json"]',
    ],
)
def test_good_ones(table: str, tmp_path: Path) -> None:
    report = load_text(tmp_path, text(table)).environment("dev").vulnerabilities["image"]
    assert report.grace == 14 * 86400
    assert report.fresh == ("run" in table or "command" in table)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (f'format = "trivy", image = "r/shop@{D}"', "expected exactly one of `report`, `url`, `command` and `run`"),
        (f'format = "trivy", image = "r/shop@{D}", report = "a", url = "https://a.test"', "expected exactly one of"),
        ('format = "trivy", report = "r.json"', "nothing says which build the report must be about"),
        ('format = "sarif", command = ["a"]', "nothing says which build the report must be about"),
        ('format = "trivy", report = "r.json", image = "r/shop"', "a name alone does not identify"),
        ('format = "trivy", report = "r.json", image = "localhost:5000/shop"', "a name alone does not identify"),
        ('format = "trivy", report = "r.json", image = "r/shop@sha256:12"', "a name alone does not identify"),
        ('format = "trivy", run = [], revision = "{revision}"', "needs the image to scan"),
        (
            'format = "sarif", run = [], revision = "{revision}"',
            "many scanners write SARIF, so `run` does not know which to start",
        ),
        ('format = "gatekeeper", run = []', "gator needs the files to test"),
        ('format = "kube-bench", report = "r.json", grace = "1d"', "is allowed for reports about packages"),
        ('format = "kube-bench", report = "r.json", ca = "ca.pem"', "`ca` is allowed with `url`"),
        ('format = "kube-bench", report = "r.json", exit_codes = [1]', "`exit_codes` is allowed with"),
        ('format = "kube-bench", command = []', "names no program"),
        ('format = "kube-bench", report = "r.json", unit = "nope"', "there is no unit `nope`"),
        ('format = "nessus", report = "r.json"', "trivy"),
        ('format = "trivy", report = "{run}.json", revision = "x"', "{run} is not known here"),
    ],
)
def test_bad_ones(table: str, message: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, text(table))
    assert any(message in each for each in found), found


def test_what_a_report_is_a_target_of(tmp_path: Path) -> None:
    toml = BASE + UNITS + (
        "[environments.dev.vulnerabilities]\n"
        'both = { format = "sarif", report = "{revision}.json", unit = "shop" }\n'
        'later = { format = "sarif", report = "{revision}.json", about = ["running"] }\n'
        'nodes = { format = "kube-bench", report = "r.json", owner = "team-k8s", vantage = "cluster" }\n'
        'rules = { format = "gatekeeper", report = "r.json" }\n'
    )  # fmt: skip
    configuration = load_text(tmp_path, toml)
    environment = configuration.environment("dev")
    found = {each.name: each for each in targets(environment, configuration) if each.kind == "scan"}
    assert {name: sorted(each.features) for name, each in found.items()} == {
        "both": ["deploy", "running"], "later": ["running"], "nodes": ["benchmark"], "rules": ["policies"],
    }  # fmt: skip
    assert (found["both"].owner, found["nodes"].owner) == ("team-shop", "team-k8s")
    assert (found["nodes"].skip, found["rules"].skip) == ("out-of-reach", "")
    assert settings_of(environment, found["later"])["about"] == ["running"]
    assert {each.name for each in targets(environment, configuration, unit="shop") if each.kind == "scan"} == set(found)
