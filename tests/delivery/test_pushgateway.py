"""Figures in a real Pushgateway: one group for each environment, unit and slot, replaced by the next run."""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_prodcheck.delivery.pushgateway import push
from pytest_prodcheck.environments.sections.base import SecretRef
from pytest_prodcheck.environments.sections.delivery import Pushgateway
from pytest_prodcheck.outcomes import Outcome, RunRecord, counts
from tests.delivery.receivers import http
from tests.monitoring.servers import Server
from tests.reports.samples import BLOCKED, OPEN, RUN


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = next(filter(shutil.which, ("prometheus-pushgateway", "pushgateway")), None)
    if program is None:
        pytest.skip("no Pushgateway, which takes the figures; install: apt-get install prometheus-pushgateway")
    server = Server(tmp_path_factory.mktemp("pushgateway"), [program])
    try:
        server.wait(lambda: server.ask("/-/ready") is None, "the Pushgateway")
        yield f"http://{server.address}"
    finally:
        server.stop()


def scraped(gateway: str) -> list[str]:
    with urllib.request.urlopen(f"{gateway}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return [line for line in lines if line.startswith("prodcheck_") and 'environment="production"' in line]


def no_secret(_ref: SecretRef) -> str:
    raise AssertionError("no secret is declared")


def test_a_later_run_replaces_the_figures_of_its_own_group_only(gateway: str) -> None:
    declared = Pushgateway(url=gateway)
    green, blue = RUN, replace(RUN, slot="blue")
    assert list(push(declared, green, [BLOCKED], no_secret)) == []
    assert list(push(declared, blue, [BLOCKED], no_secret)) == []
    codes = [line for line in scraped(gateway) if line.startswith("prodcheck_gate_code")]
    assert len(codes) == 2
    assert all('environment="production"' in line and line.endswith(" 1") for line in codes)
    for outcome, number in counts(RUN.results).items():
        told = [line for line in scraped(gateway) if f'outcome="{outcome}"' in line and "prodcheck_results{" in line]
        assert [line.rpartition(" ")[2] for line in told] == [str(number)] * 2
    fewer = replace(green, results=green.results[:1])
    assert list(push(declared, fewer, [OPEN], no_secret)) == []
    left = [line for line in scraped(gateway) if line.startswith("prodcheck_result{") and 'slot="green"' in line]
    assert len(left) == 1, "results that are gone live on"


@pytest.mark.parametrize("text", ["a/b c", "注文", "x" * 300, "job/other"])
def test_names_of_any_kind(text: str, gateway: str) -> None:
    assert (
        list(push(Pushgateway(url=gateway), RunRecord("x", text, ended_at=RUN.ended_at, project=text), [], no_secret))
        == []
    )


def test_what_it_does_not_take_is_said_without_the_secret() -> None:
    with http() as taken:
        declared = Pushgateway(
            url=f"http://127.0.0.1:{taken.port}", headers={"Authorization": SecretRef(env="TOKEN"), "X-Team": "shop"}
        )
        taken.answer = 403
        (problem,) = push(declared, RUN, [BLOCKED], lambda _: "Bearer very-secret-token")
        assert "answers 403" in problem
        method, path, headers, body = taken.requests[0]
        assert (method, headers["Authorization"], headers["X-Team"]) == ("PUT", "Bearer very-secret-token", "shop")
        assert path.startswith("/metrics/job/prodcheck/environment@base64/")
        assert f'outcome="{Outcome.FAILED}"' in body.decode()
        (problem,) = push(declared, RUN, [BLOCKED], lambda _: "very-secret\r\nX: y")
        assert "very-secret" not in problem
        (problem,) = push(declared, RUN, [BLOCKED], lambda _: "very-secret-注文")
        assert "very-secret" not in problem
        taken.answer, taken.promised = 200, 10**9
        assert list(push(declared, RUN, [BLOCKED], lambda _: "x")) == []
    (problem,) = push(declared, RUN, [BLOCKED], lambda _: "very-secret-token")
    assert "cannot be reached" in problem
    assert "very-secret" not in problem
