"""Bad logins, cookies after the logout, other people's objects: against local servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.gathering.plan import sendings
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.access import BadLogins, CookieSession, OwnershipPair
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, Web, web

JSON = {"Content-Type": "application/json"}
PASSWORD = "canary-password"


class Site:
    """Users `ann` and `bob`; after `most` wrong passwords of a user the answer is `limit`."""

    def __init__(self, most: int = 5, limit: int = 429) -> None:
        self.most, self.limit = most, limit
        self.failures: dict[str, int] = {}
        self.sessions: set[str] = set()
        self.keeps_sessions = False
        self.owner_only = True

    def __call__(self, seen: Seen) -> Answer:
        cookie = seen.headers.get("Cookie", "").rpartition("session=")[2]
        if seen.path == "/login":
            return self.login(json.loads(seen.body))
        if seen.path == "/logout":
            if not self.keeps_sessions:
                self.sessions.discard(cookie)
            return 204, {}, b""
        name = seen.headers.get("Authorization", "").rpartition("token-")[2]
        if seen.path == "/account":
            return (200 if cookie in self.sessions or name else 401), JSON, b"{}"
        if name == "ann" or (name and not self.owner_only):
            return 200, JSON, b'{"order": 1}'
        return (404 if name else 401), JSON, b"{}"

    def login(self, told: dict[str, str]) -> Answer:
        user, password = told["username"], told["password"]
        if self.failures.get(user, 0) >= self.most:
            return self.limit, ({"Retry-After": "30"} if self.limit == 429 else {}), b"{}"
        if password != PASSWORD:
            self.failures[user] = self.failures.get(user, 0) + 1
            return 401, JSON, b"{}"
        session = f"session-of-{user}-{len(self.sessions)}"
        self.sessions.add(session)
        headers = {**JSON, "Set-Cookie": f"session={session}; Path=/"}
        return 200, headers, json.dumps({"token": f"token-{user}"}).encode()


def gather(root: Path, server: Web, collector: str, target: str, **auth: Any) -> Any:
    (root / "password").write_text(PASSWORD)
    roles = {name: {"user": name, "password": {"file": "password"}} for name in ("ann", "bob")}
    login = {"kind": "json", "service": "s", "login": "POST /login", "logout": "POST /logout", "token": "/token"}
    endpoints = {
        "account": {"request": "GET /account", "status": 200, "allow": ["ann", "bob"]},
        "order": {"request": "GET /orders/1", "as": "ann", "status": 200},
        "stranger": {"request": "GET /orders/1", "as": "bob", "status": [403, 404], "control": "order"},
    }
    services = {"s": {"url": f"http://127.0.0.1:{server.port}", "endpoints": endpoints}}
    given = context_for(root, services=services, auth={**login, "cookie": "session", "roles": roles, **auth})
    found = find(collector).gather(target, given, Deadline(20))
    told = sendings([(find(collector), target)], given.environment)
    assert len(server.requests) <= sum(line.times for line in told) + 2  # and a login of each role
    return found


def throttled(root: Path, site: Site, **more: Any) -> BadLogins:
    with web(site) as server:
        found: BadLogins = gather(root, server, "auth-throttling", "auth", throttling={"user": "eve", **more})
    return found


def test_bad_logins_end_with_the_first_that_is_limited(tmp_path: Path) -> None:
    found = throttled(tmp_path, Site())
    assert [each.status for each in found.attempts] == [401] * 5 + [429]
    assert found.attempts[-1].retry_after == "30"
    assert found.control.granted
    assert found.after.granted
    assert found.right_password is None


def test_never_more_bad_logins_than_declared_are_sent(tmp_path: Path) -> None:
    site = Site(most=10_000)
    assert len(throttled(tmp_path, site, attempts=7).attempts) == 7
    assert site.failures == {"eve": 7}


def test_a_lock_shows_by_the_right_password(tmp_path: Path) -> None:
    found = throttled(tmp_path, Site(limit=401), password={"file": "password"})
    assert {each.status for each in found.attempts} == {401}
    assert found.right_password is not None
    assert not found.right_password.granted


def test_a_server_that_breaks_is_asked_no_more(tmp_path: Path) -> None:
    assert [each.status for each in throttled(tmp_path, Site(most=2, limit=500)).attempts] == [401, 401, 500]


def test_the_dedicated_user_is_nobody_that_has_a_role(tmp_path: Path) -> None:
    role = {"eve": {"user": "eve", "password": {"file": "password"}}}
    with web(Site()) as server, pytest.raises(EvidenceProblem, match="a role of another user"):
        gather(tmp_path, server, "auth-throttling", "auth", throttling={"user": "eve"}, roles=role)


@pytest.mark.parametrize(("keeps", "after"), [(False, 401), (True, 200)])
def test_the_cookie_is_sent_again_after_the_logout(tmp_path: Path, keeps: bool, after: int) -> None:
    site = Site()
    site.keeps_sessions = keeps
    with web(site) as server:
        found: CookieSession = gather(tmp_path, server, "auth-cookie", "ann")
    statuses = [each.exchange.status for each in (found.opened, found.logout, found.after) if each.exchange]
    assert statuses == [200, 204, after]
    assert "session-of" not in str(found)


def test_a_login_without_the_cookie_is_a_problem(tmp_path: Path) -> None:
    with web(Site()) as server, pytest.raises(EvidenceProblem, match="without the cookie sid"):
        gather(tmp_path, server, "auth-cookie", "ann", cookie="sid")


@pytest.mark.parametrize(("closed", "status"), [(True, 404), (False, 200)])
def test_a_stranger_asks_for_what_the_owner_gets(tmp_path: Path, closed: bool, status: int) -> None:
    site = Site()
    site.owner_only = closed
    with web(site) as server:
        found: OwnershipPair = gather(tmp_path, server, "auth-ownership", "s.stranger")
    assert (found.owner, found.stranger, found.expected) == ("ann", "bob", (403, 404))
    assert found.control.exchange is not None
    assert found.control.exchange.status == 200
    assert found.entry.exchange is not None
    assert found.entry.exchange.status == status
    assert found.shows_object == (not closed)
