"""The namespace, a gateway that is played, and the shop in two slots: one set for all tests of this folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import build
from tests.cluster.control_plane import NOBODY, ControlPlane
from tests.cluster.deploying.site import (
    APPS,
    JOURNALS,
    LEASES,
    QUOTA,
    ROUTE,
    SERVICE,
    SPACE,
    Gateway,
    Site,
    backend,
    bound,
    deployment,
    pods,
    route,
    service,
)
from tests.cluster.front import Front, front
from tests.deploy.model import Quiet
from tests.project import Project


@pytest.fixture(scope="package")
def gateway(plane: ControlPlane, home: Project) -> Iterator[Gateway]:
    """The namespace, the rights and the definition of routes are there."""
    if not build.routes_definition().is_file():
        pytest.skip("no definition of HTTPRoutes: take it with `make cluster`")
    import yaml

    made = yaml.safe_load(build.routes_definition().read_text(encoding="utf-8"))
    made.pop("status", None)
    crd = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{made['metadata']['name']}"
    status, said = plane.ask("PATCH", f"{crd}?fieldManager=test&force=true", made, "application/apply-patch+yaml")
    assert status in (200, 201), said
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}, *bound())
    plane.wait(f"/apis/gateway.networking.k8s.io/v1/namespaces/{SPACE}/httproutes")
    playing = Gateway(plane)
    playing.start()
    yield playing
    playing.over.set()
    playing.join(10)
    plane.delete(f"/api/v1/namespaces/{SPACE}")
    plane.delete(crd)


@pytest.fixture
def site(plane: ControlPlane, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Blue runs r1 and has all traffic; green has no pods."""
    monkeypatch.setenv("PRODCHECK_KEY", "a key of this test, for journals")
    for path in (QUOTA, LEASES, f"{JOURNALS}?fieldSelector=metadata.name!=kube-root-ca.crt"):
        plane.delete(path)
    for slot, replicas in (("blue", 2), ("green", 0)):
        path = f"{APPS}/shop-{slot}"
        if plane.ask("GET", path)[0] == 200:
            plane.patch(path, {"spec": {"progressDeadlineSeconds": 600, "paused": None}})
        plane.apply(deployment(slot, replicas))
        remove = [{"op": "add", "path": "/spec/template/spec/nodeSelector", "value": {}}]
        assert plane.ask("PATCH", path, remove, "application/json-patch+json")[0] == 200
    plane.delete(ROUTE)
    plane.delete(SERVICE)
    plane.apply(route(), service(), backend("blue"), backend("green"))
    gateway.refuses = ""
    (tmp_path / "deployer.kubeconfig").write_bytes(plane.kubeconfig("deployer", NOBODY).read_bytes())
    made = Site(plane, tmp_path, Quiet())
    driver = made.driver("selector")
    end = time.monotonic() + 90
    while driver.observe().revisions != {"blue": "r1", "green": ""} or pods(plane) != 2:
        assert time.monotonic() < end, driver.observe()
        time.sleep(0.1)
    return made


@pytest.fixture
def fronted(site: Site) -> Iterator[Front]:
    """The API server behind a front that can misbehave."""
    with front(site.plane) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        config = site.plane.kubeconfig("deployer", NOBODY, address)
        (site.folder / "deployer.kubeconfig").write_bytes(config.read_bytes())
        site.made("", "route")
        yield server
