"""Roles at endpoints of a local server: who is asked for what, and what is never sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.gathering.plan import sendings
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.access import RoleMatrix
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, Web, web

JSON = {"Content-Type": "application/json"}
ROLES = ("user", "other", "admin")
LOGIN_FORM = b"<html><form><input type='password' name='p'></form>"


class Site:
    """Tokens are `token-ROLE`; `answers` maps (method, role) to a status, 403 by default, 401 for nobody."""

    def __init__(
        self, answers: dict[tuple[str, str], int] | None = None, document: object = None,
        location: str = "/login?next=/thing",
    ) -> None:  # fmt: skip
        self.answers = {("GET", "admin"): 200, **(answers or {})}
        self.document, self.location = document, location
        self.cookies = False

    def __call__(self, seen: Seen) -> Answer:
        if seen.path == "/openapi.json":
            return 200, JSON, json.dumps(self.document).encode()
        if seen.path == "/login":
            role = json.loads(seen.body)["username"]
            if role == "nobody-knows":
                return 401, JSON, b"{}"
            more = {"Set-Cookie": f"session=token-{role}; Path=/"} if self.cookies else {}
            return 200, {**JSON, **more}, json.dumps({"token": f"token-{role}"}).encode()
        carried = seen.headers.get("Authorization", "") + seen.headers.get("Cookie", "")
        role = carried.rpartition("token-")[2] or "anonymous"
        status = self.answers.get((seen.method, role), 401 if role == "anonymous" else 403)
        if status == 302:
            return 302, {"Location": self.location}, b""
        if status == 299:
            return 200, {"Content-Type": "text/html"}, LOGIN_FORM
        return status, JSON, b"{}"


def settings(server: Web, endpoints: dict[str, Any], auth: dict[str, Any] | None = None) -> dict[str, Any]:
    users = {name: {"user": name, "password": {"file": "password"}} for name in ROLES}
    login = {"kind": "json", "service": "s", "login": "POST /login", "token": "/token", "roles": users}
    service = {"url": f"http://127.0.0.1:{server.port}", "endpoints": endpoints, "openapi": "/openapi.json"}
    return {"services": {"s": service}, "auth": {**login, **(auth or {})}}


def gather(root: Path, server: Web, name: str, endpoints: dict[str, Any], **auth: Any) -> RoleMatrix:
    (root / "password").write_text("canary-password")
    given = context_for(root, **settings(server, endpoints, auth))
    found: RoleMatrix = find("auth-matrix").gather(f"s.{name}", given, Deadline(20))
    return found


THING = {"thing": {"request": "GET /thing", "allow": ["admin"]}}
PRICE = {**THING, "price": {"request": "PUT /thing", "json": {"a": 1}, "allow": ["admin"], "control": "thing"}}


def statuses(found: RoleMatrix) -> dict[str, int | None]:
    return {each.role: each.entry.exchange.status if each.entry.exchange else None for each in found.roles}


def test_every_role_is_asked_and_the_allowed_one_is_the_control(tmp_path: Path) -> None:
    with web(Site()) as server:
        found = gather(tmp_path, server, "thing", THING)
    assert statuses(found) == {"anonymous": 401, "user": 403, "other": 403, "admin": 200}
    assert [each.role for each in found.roles if each.allowed] == ["admin"]
    assert found.control.entry == found.roles[-1].entry
    assert found.override_role == "user"
    assert [each.how for each in found.overrides][:2] == ["HEAD", "HEAD with X-HTTP-Method-Override: GET"]


def test_unsafe_requests_are_sent_only_as_those_who_have_to_be_refused(tmp_path: Path) -> None:
    with web(Site()) as server:
        found = gather(tmp_path, server, "price", PRICE)
        sent = [each for each in server.requests if each.method == "PUT"]
        posts = [each for each in server.requests if each.method == "POST" and each.path != "/login"]
    assert statuses(found) == {"anonymous": 401, "user": 403, "other": 403, "admin": None}
    assert not [each for each in sent if "admin" in each.headers.get("Authorization", "")]
    assert found.control_request == "GET /thing"
    assert {each.headers["Authorization"] for each in posts} == {"Bearer token-user"}
    assert [each.body for each in posts] == [b'{"a": 1}'] * 3 + [b"_method=PUT&a=1"]


def test_after_one_got_in_nothing_unsafe_is_sent_any_more(tmp_path: Path) -> None:
    with web(Site({("PUT", "user"): 204})) as server:
        found = gather(tmp_path, server, "price", PRICE)
        sent = [each for each in server.requests if each.method == "PUT"]
    assert statuses(found) == {"anonymous": 401, "user": 204, "other": None, "admin": None}
    assert len(sent) == 2
    assert found.overrides == ()


def test_a_post_of_its_own_is_never_sent(tmp_path: Path) -> None:
    """The path's POST is declared: it does something, so GET has to do for trying overrides."""
    endpoints = {**PRICE, "make": {"request": "POST /thing", "status": 201}}
    with web(Site()) as server:
        found = gather(tmp_path, server, "price", endpoints)
        posts = [each for each in server.requests if each.method == "POST" and each.path != "/login"]
    assert posts == []
    assert next(each.how for each in found.overrides) == "GET"


def test_what_is_open_itself_tells_nothing_of_overrides(tmp_path: Path) -> None:
    endpoints = {"thing": {"request": "GET /thing", "allow": ["user", "admin"]},
                 "make": {"request": "POST /thing", "allow": ["admin"], "control": "thing"}}  # fmt: skip
    with web(Site({("GET", "user"): 200})) as server:
        found = gather(tmp_path, server, "make", endpoints)
    assert found.overrides == ()
    assert found.override_role == "user"


def test_head_that_opens_what_get_closes_is_found(tmp_path: Path) -> None:
    with web(Site({("HEAD", "user"): 200})) as server:
        found = gather(tmp_path, server, "thing", THING)
    assert [each.entry.exchange.status for each in found.overrides if each.entry.exchange] == [200]


def test_a_role_that_cannot_log_in_is_a_problem_of_its_own(tmp_path: Path) -> None:
    roles = {"admin": {"user": "admin", "password": {"file": "password"}},
             "lost": {"user": "nobody-knows", "password": {"file": "password"}}}  # fmt: skip
    with web(Site()) as server:
        found = gather(tmp_path, server, "thing", THING, roles=roles)
    problems = {each.role: each.entry.problem.kind for each in found.roles if each.entry.problem}
    assert problems == {"lost": "denied"}


@pytest.mark.parametrize(
    ("security", "closed"), [([{"token": []}], True), ([], False), ([{"token": []}, {}], False), (None, True)]
)
def test_without_allow_the_openapi_document_says_whether_it_is_closed(
    tmp_path: Path, security: object, closed: bool
) -> None:
    operation = {"responses": {"200": {"description": "ok"}}} | ({} if security is None else {"security": security})
    document = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "security": [{"token": []}],
                "paths": {"/thing": {"get": operation}}}  # fmt: skip
    with web(Site(document=document)) as server:
        found = gather(tmp_path, server, "thing", {"thing": {"request": "GET /thing", "as": "admin", "status": 200}})
    assert (found.source, found.closed) == ("openapi", closed)
    assert statuses(found) == {"anonymous": 401}
    assert bool(found.overrides) == closed


def test_a_document_that_does_not_know_the_endpoint_is_a_problem(tmp_path: Path) -> None:
    document = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {}}
    with (
        web(Site(document=document)) as server,
        pytest.raises(EvidenceProblem, match="does not say which roles may use it"),
    ):
        gather(tmp_path, server, "thing", {"thing": {"request": "GET /thing", "as": "admin", "status": 200}})


@pytest.mark.parametrize(("status", "page"), [(302, "redirect"), (299, "form")])
def test_a_login_page_is_told_for_sessions_and_not_for_tokens(tmp_path: Path, status: int, page: str) -> None:
    site = Site({("GET", "anonymous"): status})
    with web(site) as server:
        assert gather(tmp_path, server, "thing", THING).roles[0].entry.login_page == ""
    site.cookies = True
    with web(site) as server:
        found = gather(tmp_path, server, "thing", THING, token=None, cookie="session")
    assert found.roles[0].entry.login_page == page
    assert found.roles[-1].entry.login_page == ""


@pytest.mark.parametrize(
    ("location", "login_page", "page"),
    [
        ("/login", None, "redirect"), ("login?next=%2Fthing", None, "redirect"), ("/login/", None, "redirect"),
        ("https://127.0.0.1/login", None, "redirect"),  # behind a proxy, a service does not know its scheme and port
        ("/sign-in", "/sign-in", "redirect"), ("https://id.example/authorize?x=1", "https://id.example/authorize",
                                               "redirect"),
        ("/sign-in", None, ""), ("/authors/", None, ""), ("/thing/", None, ""), ("", None, ""),
        ("https://elsewhere.example/login", None, ""), ("//elsewhere.example/login", None, ""),
        ("http://[::1/login", None, ""),
    ],
)  # fmt: skip
def test_only_a_redirect_to_the_declared_login_page_of_the_same_site_is_one(
    tmp_path: Path, location: str, login_page: str | None, page: str
) -> None:
    site = Site({("GET", "anonymous"): 302}, location=location)
    site.cookies = True
    with web(site) as server:
        found = gather(tmp_path, server, "thing", THING, token=None, cookie="session", login_page=login_page)
    assert found.roles[0].entry.login_page == page


def test_the_plan_tells_as_many_requests_as_are_sent(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("canary-password")
    with web(Site()) as server:
        for name in ("thing", "price"):
            server.requests.clear()
            given = context_for(tmp_path, **settings(server, PRICE))
            find("auth-matrix").gather(f"s.{name}", given, Deadline(20))
            told = sendings([(find("auth-matrix"), f"s.{name}")], given.environment)
            sent = [each for each in server.requests if each.path != "/login"]
            assert sum(line.times for line in told) == len(sent)
            assert {line.writes for line in told} == ({False} if name == "thing" else {False, True})
