"""What Alertmanager, or what stands in front of it, may answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.environments.sections.monitoring import Alertmanager
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.monitoring.alertmanager import MOST, firing, receivers
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, web

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def alert(name: str = "Down", silenced: tuple[str, ...] = (), inhibited: tuple[str, ...] = ()) -> dict[str, Any]:
    status = {"state": "active", "silencedBy": silenced, "inhibitedBy": inhibited}
    return {"labels": {"alertname": name}, "status": status, "startsAt": "2027-01-15T07:59:00.123456789Z"}


def json_answer(document: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()


def gathered_alerts(root: Path, answer: Answer) -> Any:
    with web(lambda seen: answer) as server:
        declared = Alertmanager(url=f"http://127.0.0.1:{server.port}/am")
        found = firing(declared, ['a="b|c"'], NOW, context_for(root), Deadline(5))
        assert [each.path for each in server.requests] == ["/am/api/v2/alerts?filter=a%3D%22b%7Cc%22"]
    return found


def test_alerts_are_read_with_their_age(tmp_path: Path) -> None:
    (found,) = gathered_alerts(tmp_path, json_answer([alert()]))
    assert (found.name, round(found.seconds, 2), found.suppressed) == ("Down", 59.88, "")


def test_of_very_many_those_that_count_are_kept(tmp_path: Path) -> None:
    many = [alert("Quiet", silenced=("1",))] * MOST + [alert("Inhibited", inhibited=("2",)), alert("Down")]
    found = gathered_alerts(tmp_path, json_answer(many))
    assert len(found) == MOST
    assert (found[0].name, found[1].suppressed) == ("Down", "silenced")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (json_answer("bad matcher", 400), "protocol", "answered 400 \"bad matcher\""),
        ((401, {}, b"no"), "denied", "answered 401 no"),
        ((302, {"Location": "https://sso.test"}, b""), "protocol", "answered 302"),
        ((200, {}, b"<html>Sign in"), "protocol", "is not JSON"),
        (json_answer({"alerts": []}), "protocol", "is not a list"),
        (json_answer([{"labels": {}}]), "protocol", "do not follow its API"),
        (json_answer([alert() | {"startsAt": "yesterday"}]), "protocol", "do not follow its API"),
    ],
)
def test_what_is_no_list_of_alerts_says_why(answer: Answer, kind: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(EvidenceProblem) as caught:
        gathered_alerts(tmp_path, answer)
    assert caught.value.problem.kind == kind
    assert words in caught.value.problem.message


def test_receivers_that_are_none(tmp_path: Path) -> None:
    why = "its receivers do not"
    with web(lambda seen: json_answer([{"id": 1}])) as server, pytest.raises(EvidenceProblem, match=why):
        receivers(Alertmanager(url=f"http://127.0.0.1:{server.port}"), context_for(tmp_path), Deadline(5))
