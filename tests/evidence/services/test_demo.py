"""All HTTP collectors against the demo, a real system with logins, a load balancer and a name server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo import Demo, start
from pytest_prodcheck.environments.loading import load
from pytest_prodcheck.environments.redaction import Redactor
from pytest_prodcheck.environments.secrets import SecretResolver
from pytest_prodcheck.environments.sections.dependencies import Dependency
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.gathering.gatherer import Gatherer
from pytest_prodcheck.evidence.gathering.store import EvidenceStore
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import Evidence
from pytest_prodcheck.records.release import DependencyAnswer

SERVICE = ("http-health", "http-version", "http-addresses", "http-redirect", "http-openapi")
ENDPOINT = ("http-endpoint", "http-budget")


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with start() as running:
        running.wait_ready(30)
        yield running


def gathered(demo: Demo, folder: Path) -> dict[str, Evidence[Any]]:
    configuration = load(demo.configuration)
    environment = configuration.environment("demo")
    redactor = Redactor()
    context = Context(
        environment,
        configuration.root,
        secrets=SecretResolver(configuration.root),
        redactor=redactor,
        revision="demo-1",
    )
    plan = [(find(name), "shop") for name in SERVICE]
    endpoints = environment.services["shop"].endpoints
    plan += [(find(name), f"shop.{each}") for name in ENDPOINT for each in endpoints]
    plan += [(find("http-contract"), f"shop.{name}") for name, each in endpoints.items() if each.schema_]
    plan += [(find("auth-required"), "shop.account"), (find("auth-rejections"), "auth"), (find("workflow"), "order")]
    plan += [(find(name), role) for name in ("auth-login", "auth-session") for role in ("customer", "admin")]
    store = EvidenceStore(redactor=redactor)
    gatherer = Gatherer(plan, context, store)
    gatherer.start()
    assert gatherer.wait(60)
    store.save(folder, keep_bodies=True)
    return {each.key: each for each in store.all()}


def test_a_healthy_system_leaves_no_problem_and_no_secret(demo: Demo, tmp_path: Path) -> None:
    found = gathered(demo, tmp_path)
    records: dict[str, Any] = {key: each.record for key, each in found.items()}
    assert {key: each.problem for key, each in found.items() if each.problem} == {}
    assert {each.revision for each in records["http-version:shop"].seen} == {"demo-1"}
    assert [each.status for each in records["http-addresses:shop"].answers] == [200, 200]
    assert records["http-openapi:shop"].problems == ()
    assert records["http-openapi:shop"].undeclared == ()
    assert records["http-redirect:shop"].hops[0].status == 308
    assert records["auth-session:customer"].after.status == 401
    assert not [step for step in records["workflow:order"].steps if step.reasons or step.problem or step.skipped]
    saved = "".join(file.read_text() for file in tmp_path.iterdir())
    for file in (demo.configuration.parent / "secrets").iterdir():
        assert file.read_text().strip() not in saved
        assert file.read_text().strip() not in repr(found)
    login = json.loads(records["auth-login:customer"].exchange.body)
    assert login["token"] == "[redacted]"


def test_stores_as_dependencies(demo: Demo) -> None:
    """The collectors of the declared clusters ask; what is named is the node that answered."""
    configuration = load(demo.configuration)
    environment = configuration.environment("demo")
    needed = {"database": Dependency(postgres="shop"), "cache": Dependency(redis="sessions")}
    secrets = SecretResolver(configuration.root)
    environment = environment.model_copy(update={"dependencies": needed})
    context = Context(environment, configuration.root, secrets=secrets, redactor=Redactor())
    for name, kind in (("database", "postgres"), ("cache", "redis")):
        found: DependencyAnswer = find("dependency").gather(name, context, Deadline(20))
        assert (found.kind, found.answered, found.reason) == (kind, True, "")
        assert 0 < found.seconds < 20
        sent = find("dependency").sends(name, environment)
        assert found.where in [each.to for each in sent]
    context.close()
