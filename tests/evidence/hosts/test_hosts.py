"""Hosts by psutil and by the metrics API of a cluster; those of Prometheus are in tests/monitoring."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.hosts import local
from pytest_prodcheck.evidence.hosts.usage import host_mounts, host_use
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.hosts import HostUse
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, web

JSON = {"Content-Type": "application/json"}


def test_this_machine_tells_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LOOK", 0.2)
    context = context_for(tmp_path, hosts={"this": {"source": "here", "mounts": ["/", "/proc"]}})
    found = host_use.gather("this", context, Deadline(5)).hosts[0]
    assert found.cpu >= 0
    assert 0 < found.memory < 1
    root, proc = host_mounts.gather("this", context, Deadline(5)).mounts
    assert 0 < root.space < 1
    assert not proc.counted  # it has no inodes of its own


@pytest.mark.parametrize(
    ("options", "broken"),
    [
        ("rw,relatime - ext4 /dev/loop0 rw,errors=remount-ro", False),
        ("rw,relatime - ext4 /dev/loop0 rw,errors=remount-ro,emergency_ro", True),
        ("rw,relatime shared:1 - ext4 /dev/loop0 ro,errors=remount-ro", True),
        ("ro,relatime - ext4 /dev/loop0 ro", False),
        ("ro,relatime shared:1 master:2 - ext4 /dev/loop0 rw", False),
        ("rw", False),
    ],
    ids=["writable", "Linux 6.18", "before it", "meant so", "bound so", "nonsense"],
)
def test_a_file_system_that_the_kernel_made_read_only(
    options: str, broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """monitoring-plugins#1785, netdata#12628: half of it is free, and nothing can be written.

    The lines are those of an ext4 on a loop device before and after an error (/sys/fs/ext4/loop0/trigger_fs_error),
    which takes the rights of root; that of older kernels is proc_pid_mountinfo(5)'s.
    """
    (tmp_path / "mountinfo").write_text(f"1 1 0:1 / / rw - tmpfs tmpfs rw\n42 27 7:0 / /data\\040one {options}\n")
    monkeypatch.setattr(local, "MOUNTS", str(tmp_path / "mountinfo"))
    assert local._became_read_only("/data one") is broken
    assert not local._became_read_only("/")


def test_a_folder_that_nothing_is_mounted_on_tells_of_another_disk(tmp_path: Path) -> None:
    found = local.mounts((str(tmp_path), "/nowhere"))
    assert [(each.space, each.inodes, each.why) for each in found] == [(None, None, "nothing is mounted there")] * 2


@pytest.mark.parametrize(
    ("idle", "waits", "load", "expected"),
    [
        (0.0, 0.0, 4.0, 1.0),  # busy now, and for five minutes
        (0.0, 0.0, 1.0, 0.25),  # busy now, for some seconds
        (10.0, 0.0, 8.0, 0.0),  # was busy
        (0.0, 10.0, 8.0, 0.0),  # waits for disks
    ],
)
def test_processors_are_busy_where_they_are_so_now_and_were_before(
    idle: float, waits: float, load: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    psutil = pytest.importorskip("psutil")
    names = ("user", "nice", "system", "irq", "softirq", "steal", "idle", "iowait")
    zero = dict.fromkeys(names, 0.0)

    class Times(SimpleNamespace):
        def __iter__(self) -> Any:
            return iter(vars(self).values())

    looks = [Times(**zero), Times(**{**zero, "idle": idle, "iowait": waits, "user": 10.0 - idle - waits})]
    monkeypatch.setattr(psutil, "cpu_times", lambda: looks.pop(0))
    monkeypatch.setattr(psutil, "cpu_count", lambda: 4)
    monkeypatch.setattr(psutil, "getloadavg", lambda: (0.0, load, 0.0))
    monkeypatch.setattr(local, "LOOK", 0.0)
    assert local.resource_use(Deadline(5)).cpu == pytest.approx(expected)


def node(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"allocatable": {"cpu": "4", "memory": "8Gi"}}}


def node_metrics(name: str, cpu: str = "3600000000n", memory: str = "4Gi", age: float = 15.0) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age))
    return {"metadata": {"name": name}, "timestamp": at, "window": "30s", "usage": {"cpu": cpu, "memory": memory}}


def cluster(root: Path, metrics: Answer) -> tuple[HostUse, ...]:
    """What is made of a stand-in for the API server: the control plane of tests/cluster has no metrics-server."""
    pytest.importorskip("kubernetes", reason="no Kubernetes client: pip install kubernetes")

    def answer(seen: Seen) -> Answer:
        if seen.path.startswith("/api/v1/nodes"):
            items = [node(name) for name in ("a", "b", "c", "d")]
            return 200, JSON, json.dumps({"kind": "NodeList", "metadata": {}, "items": items}).encode()
        assert seen.path.startswith("/apis/metrics.k8s.io/v1beta1/nodes"), seen.path
        return metrics

    with web(answer) as server:
        context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
        clusters = [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}]
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [context],
            "clusters": clusters, "users": [{"name": "c", "user": {}}],
        }  # fmt: skip
        (root / "kubeconfig").write_text(json.dumps(document))
        settings = {"namespace": "shop", "kubeconfig": "kubeconfig", "reach": ["namespace", "nodes"]}
        made = context_for(root, kubernetes=settings, hosts={"nodes": {"source": "kubernetes"}})
        found: tuple[HostUse, ...] = host_use.gather("nodes", made, Deadline(10)).hosts
    return found


def test_nodes_by_the_metrics_api(tmp_path: Path) -> None:
    items = [node_metrics("a"), node_metrics("b", "many"), node_metrics("c", age=900.0)]
    answer = {"kind": "NodeMetricsList", "metadata": {}, "items": items}
    a, b, c, d = cluster(tmp_path, (200, JSON, json.dumps(answer).encode()))
    assert (a.name, a.why) == ("a", "")
    assert (a.cpu, a.memory) == pytest.approx((0.9, 0.5))
    assert [each.cpu for each in (b, c, d)] == [None] * 3
    assert "returned unexpected values" in b.why
    assert "s old" in c.why
    assert "has no values for this node" in d.why


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [(404, "protocol", "answered 404"), (403, "denied", "nodes is forbidden"), (503, "protocol", "answered 503")],
)
def test_a_metrics_api_that_does_not_answer(status: int, kind: str, words: str, tmp_path: Path) -> None:
    body = json.dumps({"kind": "Status", "message": "nodes is forbidden"}).encode()
    with pytest.raises(EvidenceProblem) as caught:
        cluster(tmp_path, (status, JSON, body))
    assert (caught.value.problem.kind, words in caught.value.problem.message) == (kind, True), caught.value
