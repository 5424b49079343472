"""A deployment of GitHub Actions as a change record: the commit's author, and who reviewed the deployment.

The REST API's own shapes (https://docs.github.com/rest): commits and their pull requests, deployments and their
statuses, the review history of a workflow run. A deployment is tied to its run by the address in its statuses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_prodcheck.evidence.http.messages import Request
from pytest_prodcheck.evidence.release.approval_records import epoch_seconds, window
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.records.release import Change, Decision

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.client import HttpClient

API = "https://api.github.com"
HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
LARGEST = 8 * 1024 * 1024  # bytes of one answer
REQUESTS = 5
_RUN = re.compile(r"/actions/runs/(\d+)(?:/|\Z)")
_SAID = ("approved", "rejected", "pending")


def read(client: HttpClient, repository: str, name: str, unit: str, revision: str, deadline: Deadline) -> list[Change]:
    """The newest deployment of the revision to GitHub's environment `name`, as a list of one; [] where there is none.

    Raises EvidenceProblem where GitHub does not answer, hides what is asked for (404), or does not say who wrote or
    reviewed it.
    """
    root = f"/repos/{repository}"

    def get(path: str) -> Any:
        return _get(client, root + path, deadline)

    try:
        commit = get(f"/commits/{quote(revision, safe='')}")
        sha = str(commit["sha"])
        found = [each for each in get(f"/deployments?sha={sha}&environment={quote(name, safe='')}&per_page=100")
                 if each["sha"] == sha and each["environment"] == name]  # fmt: skip
        if not found:
            return []
        newest = max(found, key=lambda each: epoch_seconds(each["created_at"]))
        authors = _authors(commit, get(f"/commits/{sha}/pulls"))
        run = _workflow_run_id(get(f"/deployments/{int(newest['id'])}/statuses?per_page=100"))
        reviews = get(f"/actions/runs/{run}/approvals") if run else []
        return [_change(newest, name, unit, sha, authors, reviews)]
    except (KeyError, TypeError, ValueError) as error:
        what = f"GitHub's answers about {repository} are not as its API describes them ({plain(repr(error), 100)})"
        raise EvidenceProblem(Problem("protocol", what)) from None


def _get(client: HttpClient, path: str, deadline: Deadline) -> Any:
    answer = client.ask(Request("GET", path, HEADERS, document=LARGEST), deadline)
    status, where = answer.exchange.status, f"GET {path.partition('?')[0]}"
    if status == 200:
        return answer.json()
    limited = status == 429 or (status == 403 and answer.exchange.header("x-ratelimit-remaining") == "0")
    if limited:
        raise EvidenceProblem(Problem("full", f"{where}: GitHub's rate limit is used up", "give `authentication`"))
    if status in (401, 403, 404, 422):  # it hides what one may not see, and takes an unknown commit for malformed
        hint = "a token with read access to actions, contents, deployments and pull requests goes into `authentication`"
        raise EvidenceProblem(Problem("denied", f"{where} answered {status}: not there, or not for us to see", hint))
    raise EvidenceProblem(Problem("protocol", f"{where} answered {status}"))


def _authors(commit: Any, pulls: list[Any]) -> tuple[str, ...]:
    """Who opened the pull requests that brought the commit; without one its author.

    A merge commit's own author is whoever pressed the button, often the very person who reviewed.
    """
    brought = [str(each["user"]["login"]) for each in pulls if each.get("merged_at") and each.get("user")]
    named = dict.fromkeys(brought or [str(commit["author"]["login"])] if brought or commit.get("author") else [])
    if not named:
        what = "GitHub knows no account that wrote the commit, so whether its reviewer is another one cannot be told"
        raise EvidenceProblem(Problem("protocol", what, "the commit's e-mail address has to belong to an account"))
    return tuple(plain(each) for each in named)


def _workflow_run_id(statuses: list[Any]) -> int:
    """The workflow run of a deployment; raises EvidenceProblem where no status names one."""
    for each in statuses:
        if found := _RUN.search(f"{each.get('log_url') or each.get('target_url') or ''}"):
            return int(found[1])
    hint = 'reviews are those of GitHub Actions; for other pipelines use kind = "url" or "file"'
    raise EvidenceProblem(Problem("protocol", "no status of the deployment names a workflow run", hint))


def _change(
    deployment: Any, name: str, unit: str, sha: str, authors: tuple[str, ...], reviews: list[Any]
) -> Change:
    """Reviews carry no time; none of them is older than the deployment, whose age counts."""
    at = epoch_seconds(deployment["created_at"])
    decisions = [
        Decision(plain(str(each["user"]["login"])), each["state"], at)
        for each in reviews
        if any(one["name"] == name for one in each["environments"]) and each["state"] in _SAID
    ]
    payload = deployment.get("payload")
    told: dict[str, Any] = payload if isinstance(payload, dict) else {}
    begins, ends = window(told.get("window"))
    ticket = plain(str(told.get("ticket") or ""))
    emergency = told.get("emergency") is True
    return Change("", unit, sha, authors, tuple(decisions), ticket, emergency, begins, ends)
