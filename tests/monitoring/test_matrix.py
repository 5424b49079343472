"""Each fault of what watches the shop is noticed by its checks and by no unrelated one; the healthy shop is silent."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_prodcheck.environments.loading import load
from pytest_prodcheck.environments.redaction import Redactor
from pytest_prodcheck.environments.secrets import SecretResolver
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load import resources
from pytest_prodcheck.evidence.load.resource_sampling import sampling
from pytest_prodcheck.judging.limits import Limit
from pytest_prodcheck.records import EvidenceProblem
from suites.performance import test_resources
from tests.busy import skip_if_too_busy
from tests.evidence.http.servers import ok, web
from tests.judging.test_load_validity import load_run
from tests.monitoring.faults import BENIGN, FAULTS, Bench, Fault
from tests.monitoring.judging import colours
from tests.monitoring.shop import SELECT
from tests.project import TOML, Project
from tests.soak import SILENT


def test_the_healthy_shop_is_silent(bench: Bench) -> None:
    for _ in range(SILENT):
        assert colours(bench.home, SELECT) == {}


@pytest.mark.parametrize("fault", [*FAULTS, *BENIGN], ids=lambda fault: fault.name)
def test_fault(fault: Fault, bench: Bench) -> None:
    fault.make(bench)
    found = colours(bench.home, SELECT, bench.revision)
    assert {check: each.partition(":")[0] for check, each in found.items()} == fault.outcomes, found


def test_gates_with_different_windows_are_judged_one_by_one(tmp_path: Path) -> None:
    toml = f'{TOML}[gates.a]\nselect = ["t.*"]\nwindow = "5m"\n[gates.b]\nselect = ["t.*"]\nwindow = "10m"\n'
    done = Project.make(tmp_path, toml).prodcheck("run", "a", "b", "--env", "dev")
    assert done.returncode == 2
    assert "gates a and b have different windows: run them one by one" in done.stdout + done.stderr


@pytest.mark.parametrize(("revision", "code"), [("good", 0), ("failing", 1), ("idle", 3)])
def test_the_gate_says_the_same(revision: str, code: int, bench: Bench) -> None:
    """As its user asks: by the command, over the window of the gate."""
    done = bench.home.prodcheck("run", "monitoring", "--env", "live", "--revision", revision)
    assert done.returncode == code, done.stdout
    if revision == "idle":
        gate = bench.home.prodcheck("gate", "monitoring", "--env", "live", "--revision", revision)
        assert "0 samples of revision idle in the last 60 s are too few" in " ".join(gate.stdout.split())


LOAD = """
[environments.live.load.browse]
hosts      = ["127.0.0.1"]
locustfile = "prodcheck.toml"
duration   = "10s"
resources  = { host = false, hosts = ["web", "db"] }
[environments.live.hosts.db]
source = "prometheus"
match  = 'instance="db-1"'
"""


def test_hosts_are_seen_as_they_were_during_a_load(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a span that is past, as the performance suite asks for it."""
    bench.home.edit('match  = \'job="node",role="web"\'', 'match  = \'instance=~"busy|tight|silent"\'')
    bench.home.write("prodcheck.toml", (bench.home.folder / "prodcheck.toml").read_text() + LOAD)
    environment = load(bench.home.folder / "prodcheck.toml").environment("live")
    secrets = SecretResolver(bench.home.folder)
    context = Context(environment, bench.home.folder, secrets=secrets, redactor=Redactor())
    seen = 'rate(node_cpu_seconds_total{instance="busy"}[5s] offset 3s)'
    bench.watched.prometheus.wait(lambda: bench.watched.number(seen), "what was some seconds ago")
    with sampling("browse", environment.load["browse"], context):
        run = SimpleNamespace(began=time.time() - 8, seconds=7.0)
    monkeypatch.setattr(resources, "shared_run", lambda *_: run)
    found = resources.load_resources.gather("browse", context, Deadline(10))
    context.close()
    assert found.hosts_expected == 4, "three web servers where two are expected, and no database where one is"
    with pytest.raises(EvidenceProblem, match="3 hosts, 4 are expected"):
        test_resources.test_processors_have_room(found, load_run(), Limit(fail="90%"))
    busy, silent, tight = found.hosts
    assert (busy.name, silent.name, tight.name) == ("busy", "silent", "tight")
    assert (busy.cpu, busy.memory) == pytest.approx((0.97, 0.5), abs=0.01)
    assert (tight.cpu, tight.memory) == pytest.approx((0.3, 0.9), abs=0.01)
    assert (silent.cpu, silent.memory) == (None, None)


REAL = """
[environments.live.services.api]
url = "http://127.0.0.1:PORT"
[environments.live.services.api.endpoints.it]
request = "GET /it"
status  = 200
[environments.live.load.browse]
hosts     = ["127.0.0.1"]
rate      = "20/s"
duration  = "8s"
mix       = { "api.it" = 1 }
resources = { host = false, hosts = ["web"] }
"""


def test_a_real_load_and_what_prometheus_saw_meanwhile(bench: Bench) -> None:
    """A Locust of its own loads a local server; one of the two hosts that Prometheus watches has no processor left."""
    bench.home.edit('match  = \'job="node",role="web"\'', 'match  = \'instance=~"busy|tight"\'')
    with web(ok) as server:
        toml = (bench.home.folder / "prodcheck.toml").read_text() + REAL.replace("PORT", str(server.port))
        bench.home.write("prodcheck.toml", toml)
        done = bench.home.pytest("-m", "performance", "--prodcheck-json", "report.json", env="live")
    run = json.loads((bench.home.folder / "report.json").read_text(encoding="utf-8"))["run"]
    found = {each["check"]: (each["outcome"], each["reason"]) for each in run["results"]}
    skip_if_too_busy(found["performance.validity"][1])
    assert found["performance.validity"][0] == "passed", done.stdout
    outcome, reason = found["performance.resources.cpu"]
    assert (outcome, reason[:17]) == ("failed", "processor of busy")
    assert found["performance.resources.memory"] == ("warned", "memory of tight: 90 % is more than 80 %")
