"""Change records from files, addresses and GitHub; calendars of freezes.

GitHub is played by a local server that answers with the shapes of its REST API's documentation (deployments, statuses,
commits, pull requests, review history), cut to what matters: it is not GitHub.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.release.approval_records import read
from pytest_prodcheck.evidence.release.freezes import freezes
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.release import Approval
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, web

SHA = "3f9c2ab0" + "1" * 32
RECORD = {
    "format": "prodcheck-approval/1", "environment": "test", "revision": "r-1", "author": "ada",
    "approvals": [{"by": "grace", "at": "2026-11-24T10:00:00Z"}],
}  # fmt: skip


def gather(root: Path, revision: str = "r-1", **approval: Any) -> Approval:
    context = context_for(root, approval=approval)
    context.revision = revision
    found: Approval = find("change-approval").gather("test", context, Deadline(5))
    return found


def problem(root: Path, revision: str = "r-1", **approval: Any) -> tuple[str, str]:
    with pytest.raises(EvidenceProblem) as caught:
        gather(root, revision, **approval)
    return caught.value.problem.kind, str(caught.value.problem)


# -- files and addresses


def test_a_record_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "r-1.json").write_text(json.dumps(RECORD))
    found = gather(tmp_path, kind="file", record="{revision}.json")
    assert found.change is not None
    assert (found.change.authors, found.change.decisions[0].by) == (("ada",), "grace")
    assert found.source == "r-1.json"


def test_a_record_that_is_not_in_its_folder_is_none_and_a_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert gather(tmp_path, kind="file", record="{revision}.json").changes == ()
    assert problem(tmp_path, kind="file", record="nowhere/{revision}.json")[0] == "configuration"
    assert "--revision" in problem(tmp_path, "", kind="file", record="r.json")[1]
    assert "--unit" in problem(tmp_path, kind="file", record="{unit}.json")[1]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"format": "prodcheck-approval/2"}, "its format is not"),
        ({"author": ""}, "names no author"),
        ({"author": []}, "names no author"),
        ({"author": 3}, "author is no text"),
        ({"revision": ""}, "names no revision"),
        ({"approvals": "grace"}, "approvals is no list"),
        ({"approvals": [{"by": "grace", "decision": "maybe"}]}, "`decision`"),
        ({"approvals": [{"by": "grace", "at": "2026-11-24T10:00:00"}]}, "no time with a zone"),
        ({"approvals": [{"at": "2026-11-24T10:00:00Z"}]}, "it has no 'by'"),
        ({"window": {}}, "a window has"),
        ({"window": {"start": "2026-11-24T10:00:00Z", "end": "2026-11-24T09:00:00Z"}}, "ends before it begins"),
        ({"emergency": "yes"}, "neither true nor false"),
        ({"windows": {}}, "unknown key 'windows'"),
    ],
)  # fmt: skip
def test_what_is_no_record(changed: dict[str, Any], what: str) -> None:
    with pytest.raises(EvidenceProblem, match=what):
        read(json.dumps({**RECORD, **changed}), "r.json")


@pytest.mark.parametrize("content", ["", "[1]", "null", "{", "[" * 5000, '{"format": NaN}'])
def test_what_is_no_json_of_records(content: str) -> None:
    with pytest.raises(EvidenceProblem, match="is no change record"):
        read(content, "r.json")


@pytest.mark.parametrize(("status", "kind"), [(404, ""), (410, ""), (403, "protocol"), (503, "protocol")])
def test_an_address(status: int, kind: str, tmp_path: Path) -> None:
    with web(lambda seen: (status, {}, b"no")) as server:
        url = f"http://127.0.0.1:{server.port}/{{revision}}.json?token=hush"
        if kind:
            assert problem(tmp_path, kind="url", url=url)[0] == kind
        else:
            found = gather(tmp_path, kind="url", url=url)
            assert found.changes == ()
            assert "hush" not in found.source


# -- GitHub

OCTOCAT = {"login": "octocat", "id": 1, "type": "User", "site_admin": False}
HUBOT = {"login": "hubot", "id": 2, "type": "User", "site_admin": False}
PRODUCTION = {"id": 56780428, "node_id": "MDExOkVudmlyb25tZW50NTY3ODA0Mjg=", "name": "production"}
DEPLOYMENT = {
    "id": 42, "sha": SHA, "ref": "main", "task": "deploy", "payload": {}, "original_environment": "production",
    "environment": "production", "description": None, "creator": OCTOCAT, "created_at": "2026-11-24T10:00:00Z",
    "updated_at": "2026-11-24T10:00:00Z", "transient_environment": False, "production_environment": True,
}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "/commits/3f9c2ab": {"sha": SHA, "commit": {"author": {"name": "The Octocat"}}, "author": OCTOCAT,
                         "committer": {"login": "web-flow"}},
    f"/commits/{SHA}/pulls": [],
    "/deployments": [DEPLOYMENT],
    "/deployments/42/statuses": [
        {"id": 2, "state": "in_progress", "creator": OCTOCAT, "environment": "production", "target_url": "",
         "log_url": "https://github.com/shop/cart/actions/runs/1658821493/job/9", "created_at": "2026-11-24T10:05:00Z"},
        {"id": 1, "state": "waiting", "creator": OCTOCAT, "environment": "production", "target_url": "",
         "log_url": "https://github.com/shop/cart/actions/runs/1658821493/job/9", "created_at": "2026-11-24T10:00:00Z"},
    ],
    "/actions/runs/1658821493/approvals": [
        {"state": "approved", "comment": "Ship it!", "environments": [PRODUCTION], "user": HUBOT},
        {"state": "approved", "comment": "", "environments": [{**PRODUCTION, "name": "staging"}], "user": OCTOCAT},
    ],
}  # fmt: skip


def github(**changed: Any) -> Callable[[Seen], Answer]:
    """What answers, with some answers changed: a status instead, or other data."""

    def answer(seen: Seen) -> Answer:
        path = seen.path.partition("?")[0].removeprefix("/repos/shop/cart")
        found = changed.get(path, ANSWERS.get(path, 404))
        if isinstance(found, int):
            limit = {"x-ratelimit-remaining": "0"} if found == 403 else {}
            return found, {"Content-Type": "application/json", **limit}, b'{"message": "no"}'
        return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()

    return answer


def ask(root: Path, **changed: Any) -> Approval:
    with web(github(**changed)) as server:
        found = gather(
            root, "3f9c2ab", kind="github-deployments", repository="shop/cart", deployment="production",
            url=f"http://127.0.0.1:{server.port}",
        )  # fmt: skip
        assert all(seen.headers["X-GitHub-Api-Version"] == "2022-11-28" for seen in server.requests)
        deployments = [seen.path for seen in server.requests if seen.path.startswith("/repos/shop/cart/deployments?")]
        assert deployments == [f"/repos/shop/cart/deployments?sha={SHA}&environment=production&per_page=100"]
        return found


def test_reviews_of_a_deployment(tmp_path: Path) -> None:
    change = ask(tmp_path).change
    assert change is not None
    assert change.authors == ("octocat",)
    assert [(each.by, each.said) for each in change.decisions] == [("hubot", "approved")]
    assert change.decisions[0].at == datetime.datetime(2026, 11, 24, 10, tzinfo=datetime.UTC).timestamp()


def test_who_opened_the_pull_request_is_the_author_not_who_merged_it(tmp_path: Path) -> None:
    pull = {"number": 7, "state": "closed", "user": HUBOT, "merged_at": "2026-11-23T10:00:00Z"}
    change = ask(tmp_path, **{f"/commits/{SHA}/pulls": [pull]}).change
    assert change is not None
    assert change.authors == ("hubot",)


def test_no_deployment_of_that_revision(tmp_path: Path) -> None:
    assert ask(tmp_path, **{"/deployments": []}).changes == ()
    assert ask(tmp_path, **{"/deployments": [{**DEPLOYMENT, "environment": "Production"}]}).changes == ()
    assert ask(tmp_path, **{"/deployments": [{**DEPLOYMENT, "sha": "0" * 40}]}).changes == ()


def test_the_newest_deployment_counts(tmp_path: Path) -> None:
    old = {**DEPLOYMENT, "id": 41, "created_at": "2026-11-20T10:00:00Z"}
    change = ask(tmp_path, **{"/deployments": [old, DEPLOYMENT]}).change
    assert change is not None
    assert len(change.decisions) == 1


@pytest.mark.parametrize(
    ("path", "answer", "kind"),
    [
        ("/commits/3f9c2ab", 404, "denied"),
        ("/commits/3f9c2ab", 403, "full"),
        ("/deployments", 500, "protocol"),
        ("/deployments", {"message": "odd"}, "protocol"),
        ("/deployments/42/statuses", [], "protocol"),
        ("/commits/3f9c2ab", {"sha": SHA, "author": None}, "protocol"),
        ("/actions/runs/1658821493/approvals", 401, "denied"),
        ("/actions/runs/1658821493/approvals", [{"state": "approved", "user": HUBOT}], "protocol"),
    ],
)  # fmt: skip
def test_what_github_does_not_tell_is_no_approval(path: str, answer: Any, kind: str, tmp_path: Path) -> None:
    with web(github(**{path: answer})) as server:
        url = f"http://127.0.0.1:{server.port}"
        approval = {"kind": "github-deployments", "repository": "shop/cart", "deployment": "production", "url": url}
        assert problem(tmp_path, "3f9c2ab", **approval)[0] == kind


def test_what_is_sent(tmp_path: Path) -> None:
    context = context_for(tmp_path, approval={"kind": "github-deployments", "repository": "shop/cart"})
    (sent,) = find("change-approval").sends("test", context.environment)
    assert (sent.to, sent.times, sent.writes) == ("api.github.com:443", 5, False)


# -- freezes


def on(text: str, now: str, units: tuple[str, ...] = ("shop",)) -> list[str]:
    moment = datetime.datetime.fromisoformat(now).timestamp()
    return [each.name for each in freezes(text.encode(), "freeze.toml", units, moment) if each.begins <= moment]


YEAR_END = 'zone = "Europe/Berlin"\n[freeze.year-end]\nfrom = 2026-12-20\nto = 2027-01-03\n'
WEEKEND = 'zone = "Europe/Berlin"\n[freeze.weekend]\nfrom = "Fri 16:00"\nto = "Mon 06:00"\n'


@pytest.mark.parametrize(
    ("text", "now", "frozen"),
    [
        (YEAR_END, "2026-12-19T22:59:59+00:00", False),  # 23:59:59 in Berlin
        (YEAR_END, "2026-12-19T23:00:00+00:00", True),
        (YEAR_END, "2027-01-03T22:59:59+00:00", True),  # the last day is part of it
        (YEAR_END, "2027-01-03T23:00:00+00:00", False),
        (WEEKEND, "2026-07-03T13:59:00+00:00", False),  # 15:59 in summer
        (WEEKEND, "2026-07-03T14:00:00+00:00", True),
        (WEEKEND, "2026-07-06T03:59:00+00:00", True),
        (WEEKEND, "2026-07-06T04:00:00+00:00", False),
        (WEEKEND, "2026-11-27T14:30:00+00:00", False),  # 15:30 in winter
        (WEEKEND, "2026-11-27T15:00:00+00:00", True),
        (WEEKEND, "2026-10-25T12:00:00+00:00", True),  # the day on which clocks change
    ],
)
def test_freezes(text: str, now: str, frozen: bool) -> None:
    assert bool(on(text, now)) == frozen


def test_a_freeze_that_begins_within_a_day_is_told(tmp_path: Path) -> None:
    now = datetime.datetime(2026, 12, 19, 22, 30, tzinfo=datetime.UTC).timestamp()
    (found,) = freezes(YEAR_END.encode(), "f", ("",), now)
    assert found.begins - now == 1800
    assert freezes(YEAR_END.encode(), "f", ("",), now - 22 * 3600) == (found,)


def test_exceptions_are_of_named_units() -> None:
    text = f'{YEAR_END}except = ["blog"]\n'
    now = datetime.datetime(2026, 12, 25, tzinfo=datetime.UTC).timestamp()
    assert [freezes(text.encode(), "f", units, now)[0].excepted for units in (("blog",), ("shop",), ("",))] == [
        True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "", "[freez]\n", "freeze = 1\n", "zone = 'UTC'\n", "[freeze.a]\nfrom = 2026-01-01\n", "\x00",
        "[freeze.a]\nfrom = 2026-01-01\nto = 2026-01-02\n",  # no zone
        "zone = 'Mars/Phobos'\n[freeze.a]\nfrom = 2026-01-01\nto = 2026-01-02\n",
        "zone = 'UTC'\n[freeze.a]\nfrom = 2026-01-02\nto = 2026-01-01\n",
        "zone = 'UTC'\n[freeze.a]\nfrom = 'Fri 16:00'\nto = 2026-01-01\n",
        "zone = 'UTC'\n[freeze.a]\nfrom = 'Fri 16:00'\nto = 'Fri 16:00'\n",
        "zone = 'UTC'\n[freeze.a]\nfrom = 'Friday'\nto = 'Mon 06:00'\n",
        "zone = 'UTC'\n[freeze.a]\nfrom = 'Fri 25:00'\nto = 'Mon 06:00'\n",
        "zone = 'UTC'\n[freeze.a]\nfrom = 2026-01-01\nto = 2026-01-02\nunits = ['a']\n",
        "zone = 'UTC'\n[freeze.a]\nfrom = 2026-01-01\nto = 2026-01-02\nexcept = 'shop'\n",
        "zone = 'UTC'\n[freeze.a]\nfrom = 2026-01-01\nto = 2026-01-02\nemergency = 'yes'\n",
    ],
)  # fmt: skip
def test_what_is_no_calendar(text: str) -> None:
    with pytest.raises(EvidenceProblem, match="f: ") as caught:
        freezes(text.encode(), "f", ("shop",), 0.0)
    assert caught.value.problem.kind == "configuration"


def test_a_calendar_without_freezes_says_so() -> None:
    assert freezes(b"[freeze]\n", "f", ("shop",), 0.0) == ()
