"""Where a pull request is talked about: GitHub and GitLab, by their REST interfaces, as the CI names them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pytest_prodcheck.trusted_files import read_regular

_LARGEST_EVENT = 32 * 1024 * 1024  # bytes of the file in which GitHub tells what began a workflow
_REF = re.compile(r"refs/pull/([0-9]{1,12})/")


@dataclass(frozen=True)
class Host:
    """How comments are read and written there. Paths are below the address of the interface."""

    name: str
    request: str  # what a proposed change is called
    api: str  # its address where no variable names one
    tokens: tuple[str, ...]  # environment variables that may hold the token
    right: str  # what a token needs to be allowed
    most: int  # characters of a comment
    comments: str
    comment: str
    edited_by: str
    author: tuple[str, str]  # where a comment names its author


GITHUB = Host(
    "GitHub", "pull request", "https://api.github.com", ("GITHUB_TOKEN", "GH_TOKEN"),
    "`permissions: { pull-requests: write }` in the job; for a pull request from a fork the token may only read",
    65_536, "repos/{project}/issues/{number}/comments", "repos/{project}/issues/comments/{comment}", "PATCH",
    ("user", "login"),
)  # fmt: skip
GITLAB = Host(
    "GitLab", "merge request", "https://gitlab.com/api/v4", ("GITLAB_TOKEN",),
    "a project access token with the scope `api` (CI_JOB_TOKEN may not write comments)",
    1_000_000, "projects/{project}/merge_requests/{number}/notes",
    "projects/{project}/merge_requests/{number}/notes/{comment}", "PUT", ("author", "username"),
)  # fmt: skip
HOSTS = {"github": GITHUB, "gitlab": GITLAB}


@dataclass(frozen=True)
class Place:
    """One pull request. project: "owner/name" or, at GitLab, a number. number: 0 where the pipeline is about none."""

    host: Host
    api: str
    project: str
    number: int

    def path(self, pattern: str, comment: int = 0) -> str:
        """One of the host's paths, filled in."""
        project = quote(self.project, safe="/" if self.host is GITHUB else "")
        return f"{self.api}/{pattern.format(project=project, number=self.number, comment=comment)}"

    def __str__(self) -> str:
        return f"{self.host.request} {self.number} of {self.project}"


def recognised(environ: Mapping[str, str]) -> Place | None:
    """The pull request that a job of GitHub Actions or GitLab CI is about; None elsewhere."""
    if environ.get("GITHUB_ACTIONS") == "true":
        api = environ.get("GITHUB_API_URL") or GITHUB.api
        return Place(GITHUB, api.rstrip("/"), environ.get("GITHUB_REPOSITORY", ""), _number_at_github(environ))
    if environ.get("GITLAB_CI") == "true":
        api = environ.get("CI_API_V4_URL") or GITLAB.api
        project = environ.get("CI_MERGE_REQUEST_PROJECT_ID") or environ.get("CI_PROJECT_ID", "")
        return Place(GITLAB, api.rstrip("/"), project, _whole(environ.get("CI_MERGE_REQUEST_IID")))
    return None


def token(host: Host, environ: Mapping[str, str]) -> str:
    """The first of the host's tokens that is set, "" where none is."""
    return next((value for name in host.tokens if (value := environ.get(name, "").strip())), "")


def _number_at_github(environ: Mapping[str, str]) -> int:
    """From the ref, else from what began the workflow."""
    if found := _REF.match(environ.get("GITHUB_REF", "")):
        return int(found[1])
    try:
        event = json.loads(read_regular(environ.get("GITHUB_EVENT_PATH", ""), _LARGEST_EVENT))
    except (OSError, ValueError, RecursionError):
        return 0
    issue, run = _mapping(event, "issue"), _mapping(event, "workflow_run")
    of_run = run.get("pull_requests")
    found_in = [_mapping(event, "pull_request"), issue if "pull_request" in issue else {}]
    found_in += [each for each in of_run[:1] if isinstance(each, dict)] if isinstance(of_run, list) else []
    return next((number for each in found_in if (number := _whole(each.get("number")))), 0)


def _mapping(data: Any, name: str) -> dict[str, Any]:
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _whole(value: object) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0
