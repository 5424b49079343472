"""What ~/.netrc holds is for other programs: none of our requests takes it along, nor in the place of a token."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.cli.doctor import _page_problem
from pytest_prodcheck.delivery.pushgateway import push
from pytest_prodcheck.delivery.traces import send_trace
from pytest_prodcheck.environments.sections.base import SecretRef
from pytest_prodcheck.environments.sections.delivery import Pushgateway, Traces
from pytest_prodcheck.proposals.proposal import CannotPropose
from pytest_prodcheck.proposals.sources import propose
from tests.delivery.receivers import Taken, http
from tests.reports.samples import OPEN, RUN

HEADERS: dict[str, Any] = {"Authorization": SecretRef(env="TOKEN")}


@pytest.fixture(scope="module")
def server() -> Iterator[Taken]:
    with http() as made:
        yield made


def _propose(address: str) -> None:
    with contextlib.suppress(CannotPropose):
        propose(address)


@pytest.mark.parametrize(
    ("ask", "sent"),
    [
        (lambda at: list(push(Pushgateway(url=at, headers=HEADERS), RUN, [OPEN], lambda _: "Bearer declared")), True),
        (lambda at: list(send_trace(Traces(url=at, headers=HEADERS), RUN, [OPEN], lambda _: "Bearer declared")), True),
        (_page_problem, False),
        (_propose, False),
    ],
    ids=["Pushgateway", "traces", "doctor", "init"],
)
def test_nothing_of_it_is_sent(
    ask: Callable[[str], Any], sent: bool, server: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password of-the-netrc\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.requests.clear()
    ask(f"http://127.0.0.1:{server.port}/")
    assert server.requests
    told = [{name.lower(): value for name, value in each[2].items()} for each in server.requests]
    assert {each.get("authorization") for each in told} == {"Bearer declared" if sent else None}
