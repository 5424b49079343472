"""A run as a comment that each later run edits, on GitHub and GitLab as `code_host` plays them."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_prodcheck.delivery.code_hosts import GITHUB, GITLAB, HOSTS, Place, recognised
from pytest_prodcheck.delivery.comments import NotCommented, comment, cut
from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.outcomes import RunRecord
from pytest_prodcheck.reports.markdown import run_markdown
from tests.delivery.code_host import TOKEN, CodeHost, serve
from tests.project import Project
from tests.reports.hostile import STRINGS, filled_with_text
from tests.reports.samples import BLOCKED, OPEN, RUN

BOT = "github-actions[bot]"
TEXT = run_markdown(RUN, [BLOCKED])
MARKER = TEXT.splitlines()[0]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    return str(file)


@pytest.fixture(params=HOSTS)
def code_host(request: pytest.FixtureRequest, tls: ssl.SSLContext, ca: str) -> Iterator[CodeHost]:
    host = HOSTS[request.param]
    with serve(CodeHost(host, "shop/shop" if host is GITHUB else "42", 7, BOT), tls) as made:
        yield made


def place(made: CodeHost) -> Place:
    return Place(made.host, made.api, made.project, made.number)


def say(made: CodeHost, text: str = TEXT) -> str:
    return comment(place(made), TOKEN, text)


def refusal(made: CodeHost, token: str = TOKEN) -> str:
    with pytest.raises(NotCommented) as told:
        comment(place(made), token, TEXT)
    assert token not in str(told.value)
    return str(told.value)


def test_the_next_run_edits_the_comment_of_the_first(code_host: CodeHost) -> None:
    code_host.add("anna", "looks good")
    assert "added comment 1001" in say(code_host)
    assert "edited comment 1001" in say(code_host, run_markdown(RUN, [OPEN]))
    assert [each["body"].count("OPEN: smoke") for each in code_host.comments] == [0, 1]


def test_other_gates_have_a_comment_of_their_own(code_host: CodeHost) -> None:
    say(code_host)
    say(code_host, run_markdown(RUN, [replace(BLOCKED, gate="security")]))
    say(code_host, run_markdown(replace(RUN, slot="blue"), [BLOCKED]))
    assert len(code_host.comments) == 3
    assert "edited comment 1000" in say(code_host)


def test_it_is_found_on_a_later_page(code_host: CodeHost) -> None:
    for number in range(230):
        code_host.add("anna", f"comment {number}")
    own = code_host.add(BOT, f"{MARKER}\r\nof before")
    assert f"edited comment {own}" in say(code_host)
    assert sum(method == "GET" and "page=" in path for method, path in code_host.asked) == 3


def test_more_comments_than_are_read(code_host: CodeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_prodcheck.delivery.comments._PAGES", 1)
    for number in range(101):
        code_host.add("anna", f"comment {number}")
    assert "more than 100 comments" in refusal(code_host)
    assert len(code_host.comments) == 101


def test_what_somebody_else_wrote_is_never_edited(code_host: CodeHost) -> None:
    """Whoever may comment can copy the first line."""
    code_host.add("mallory", f"{MARKER}\nall is well")
    code_host.add("github-actions", f"{MARKER}\nall is well")
    code_host.add(BOT, f"quoting {MARKER}")
    assert "added comment 1003" in say(code_host)
    assert code_host.comments[0]["body"].endswith("all is well")


def test_a_comment_that_is_deleted_meanwhile_is_added_again(code_host: CodeHost) -> None:
    say(code_host)
    code_host.vanishes = True
    assert "added comment" in say(code_host)
    assert len(code_host.comments) == 1


@pytest.mark.parametrize(
    ("method", "status", "told"),
    [
        ("GET", 404, "may not see it"),
        ("POST", 403, "it needs"),
        ("POST", 404, "may not see it"),
        ("POST", 410, "disabled"),
        ("POST", 502, "answers 502"),
        ("GET", 301, "renamed"),
        ("GET", 429, "too many requests"),
    ],
)
def test_refusals(method: str, status: int, told: str, code_host: CodeHost) -> None:
    code_host.refuses = {method: status}
    assert told in refusal(code_host)
    assert code_host.comments == []


def test_refused_for_the_number_of_requests(code_host: CodeHost) -> None:
    code_host.refuses, code_host.headers = {"GET": 403}, {"x-ratelimit-remaining": "0"}
    assert "too many requests" in refusal(code_host)


def test_a_token_that_nobody_knows(code_host: CodeHost) -> None:
    assert "the token is not valid" in refusal(code_host, "very-secret-and-wrong")


@pytest.mark.parametrize("raw", [b"<html>", b"{}", b"[" * 100_000, b"\xff", b"[1, null, {}]"])
def test_answers_of_another_form(raw: bytes, code_host: CodeHost) -> None:
    code_host.raw = raw
    assert code_host.host.name in refusal(code_host)


def test_an_unknown_certificate_and_plain_http_get_no_token(
    code_host: CodeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert "cannot be reached (SSLError)" in refusal(code_host)
    assert code_host.asked == []
    with pytest.raises(NotCommented, match="in the clear"):
        comment(replace(place(code_host), api="http://127.0.0.1:9"), TOKEN, TEXT)


def test_a_netrc_does_not_replace_the_token(
    code_host: CodeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login x password y\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert "added" in say(code_host)


@pytest.mark.parametrize("letter", ["x", "ä", "😀"])
def test_a_text_that_is_too_long_is_cut_between_lines_and_says_so(letter: str, code_host: CodeHost) -> None:
    lines = [MARKER, *(letter * 1000 for _ in range(1500))]
    say(code_host, "\n".join(lines))
    body = code_host.comments[0]["body"]
    *kept, empty, told = body.splitlines()
    assert kept == lines[: len(kept)]
    assert (empty, told.split()[0]) == ("", str(len(lines) - len(kept)))
    assert "did not fit" in told
    assert code_host.host.most - 2500 < len(body.encode("utf-16-le")) // 2 <= code_host.host.most


@pytest.mark.parametrize("text", [*STRINGS, "/close", "@anna, look at #12", "x\n/merge", "a--><script>"])
def test_nothing_of_a_target_mentions_closes_or_ends_anything(text: str) -> None:
    made = cut(run_markdown(filled_with_text(RunRecord, text), [filled_with_text(Verdict, text)]), GITLAB.most)
    first, *rest = made.splitlines()
    assert first.startswith("<!-- prodcheck: ")
    assert first.index("-->") == len(first) - 3
    assert not any(line.startswith("/") or "@anna" in line or "#12" in line for line in rest)


def test_where_the_ci_says_that_it_is(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    github = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "shop/shop", "GITHUB_EVENT_PATH": str(event)}

    def number(**more: Any) -> int:
        event.write_text(json.dumps(more) if more else "no JSON")
        found = recognised(github)
        assert found is not None
        return found.number

    assert recognised({}) is None
    assert recognised({**github, "GITHUB_REF": "refs/pull/7/merge"}) == Place(GITHUB, GITHUB.api, "shop/shop", 7)
    assert number(pull_request={"number": 8}) == 8
    assert number(issue={"number": 9, "pull_request": {}}) == 9
    assert number(issue={"number": 9}) == 0
    assert number(workflow_run={"pull_requests": [{"number": 10}]}) == 10
    assert number(pull_request={"number": "x"}) == number(pull_request=[], workflow_run={"pull_requests": [3]}) == 0
    assert number() == 0
    gitlab = {"GITLAB_CI": "true", "CI_API_V4_URL": "https://git.example/api/v4/", "CI_PROJECT_ID": "1"}
    assert recognised(gitlab) == Place(GITLAB, "https://git.example/api/v4", "1", 0)
    of_a_fork = {**gitlab, "CI_MERGE_REQUEST_PROJECT_ID": "2", "CI_MERGE_REQUEST_IID": "7"}
    assert recognised(of_a_fork) == Place(GITLAB, "https://git.example/api/v4", "2", 7)
    by_path = Place(GITLAB, "https://x", "group/shop", 7)
    assert by_path.path(GITLAB.comments).endswith("/projects/group%2Fshop/merge_requests/7/notes")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project.make(tmp_path_factory.mktemp("commented"))
    made.pytest()
    return made


def test_the_command(code_host: CodeHost, ca: str, project: Project) -> None:
    variables = ("GITHUB_ACTIONS", "GITHUB_REPOSITORY", "GITHUB_API_URL", "GITHUB_REF")
    if code_host.host is GITLAB:
        variables = ("GITLAB_CI", "CI_PROJECT_ID", "CI_API_V4_URL", "CI_MERGE_REQUEST_IID")
    number = "refs/pull/7/merge" if code_host.host is GITHUB else "7"
    about = dict(zip(variables, ("true", code_host.project, code_host.api, number), strict=True))
    project.environ = {**dict.fromkeys((*GITHUB.tokens, *GITLAB.tokens), ""), "REQUESTS_CA_BUNDLE": ca, **about}
    dry = project.prodcheck("comment", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "OPEN: smoke" in dry.stdout
    assert code_host.asked == []
    without = project.prodcheck("comment")
    assert (without.returncode, f"set {code_host.host.tokens[0]}" in without.stderr) == (2, True)
    project.environ[code_host.host.tokens[0]] = TOKEN
    done = project.prodcheck("comment")
    assert done.returncode == 0, done.stderr
    assert "added comment 1000" in done.stdout
    assert "edited comment 1000" in project.prodcheck("comment", "latest").stdout
    code_host.refuses = {code_host.host.edited_by: 403}
    refused = project.prodcheck("comment")
    assert refused.returncode == 2
    assert TOKEN not in done.stdout + refused.stdout + refused.stderr
    project.environ[variables[3]] = ""
    assert "no comment was written" in project.prodcheck("comment").stdout


def test_a_run_that_did_not_end_is_not_told_as_the_one_before(project: Project) -> None:
    """The runner's memory was full, and `.prodcheck` came from a cache: the run before was of another revision."""
    project.environ = {}
    words = ("comment", "--on", "gitlab", "--project", "x", "--number", "1", "--dry-run")
    assert "OPEN: smoke" in project.prodcheck(*words).stdout
    left = project.folder / ".prodcheck" / "runs" / "99990101T000000Z-0000000"
    left.mkdir()
    (left / "gates.json").write_text('[["dev", "", "", "smoke"]]')
    try:
        done = project.prodcheck(*words)
        assert (done.returncode, f"{left.name}, has not ended" in done.stderr) == (2, True), done.stderr
        assert project.prodcheck(*words, "--env", "live").returncode == 2  # of which there is no run
        assert "OPEN: smoke" in project.prodcheck(words[0], "latest", *words[1:]).stdout
    finally:
        (left / "gates.json").unlink()
        left.rmdir()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "neither GitHub Actions nor GitLab CI"),
        (("--on", "github"), "name the project"),
        (("--on", "github", "--project", "../x", "--number", "1"), "name the project"),
        (("--on", "gitlab", "--project", "x"), "--number N"),
        (("--on", "gitlab", "--project", "x", "--number", "-1"), "--number N"),
        (("--on", "gitlab", "--project", "x", "--number", "1"), "set GITLAB_TOKEN"),
        (("nonsense", "--on", "gitlab", "--project", "x", "--number", "1"), "saved runs have an id"),
    ],
)
def test_what_is_missing(words: tuple[str, ...], told: str, project: Project) -> None:
    named = ("GITHUB_ACTIONS", "GITLAB_CI", *GITHUB.tokens, *GITLAB.tokens)
    project.environ = dict.fromkeys(named, "")
    done = project.prodcheck("comment", *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
