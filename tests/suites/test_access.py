"""What the access checks make of answers: a refusal counts only as one, and only beside a control."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_prodcheck.records import EvidenceProblem, Exchange, Problem
from pytest_prodcheck.records.access import (
    BadLogin,
    BadLogins,
    Entry,
    ForgedToken,
    ForgedTokens,
    OverrideEntry,
    RoleEntry,
    RoleMatrix,
)
from pytest_prodcheck.records.encryption import (
    AccessRule,
    ColumnSample,
    PlainPort,
    PostgresAccess,
    PostgresColumns,
    PostgresEncryption,
    RedisAccess,
    RedisEncryption,
)
from pytest_prodcheck.records.login import Login, ProtectedAnswers, Session
from suites.security import test_authentication as authentication
from suites.security import test_authorization as authorization
from suites.security import test_encryption as encryption
from suites.smoke import test_login as login
from tests.judged import judged


def outcome(check: Callable[[Any], None], record: Any) -> str:
    try:
        return str(judged(check, record).outcome)
    except EvidenceProblem:
        return "errored"


def exchange(status: int, **headers: str) -> Exchange:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Exchange("GET", "https://shop/x", status, named, None, 0, 0.01)


def entry(status: int, page: Any = "") -> Entry:
    return Entry(exchange(status), None, page)


def matrix(status: int, control: int = 200, page: Any = "", other: int = 405, allowed: int = 200) -> RoleMatrix:
    proof = RoleEntry("admin", True, entry(control))
    roles = (RoleEntry("anonymous", False, entry(401)), RoleEntry("user", False, entry(status, page)),
             RoleEntry("helper", True, entry(allowed)), proof)  # fmt: skip
    overrides = (OverrideEntry("HEAD", entry(other)),)
    return RoleMatrix("GET /x", "allow", True, proof, "GET /x", (200,), roles, "user", overrides)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, "passed"), (403, "passed"), (404, "passed"), (200, "failed"), (204, "failed"), (400, "failed"),
     (409, "failed"), (422, "failed"), (302, "errored"), (429, "errored"), (405, "errored"), (500, "errored"),
     (502, "errored"), (503, "errored"), (408, "errored")],
)  # fmt: skip
def test_what_counts_as_a_refusal_of_a_role(status: int, expected: str) -> None:
    assert outcome(authorization.test_only_allowed_roles_get_in, matrix(status)) == expected


def test_only_the_way_to_the_login_page_refuses() -> None:
    """A page with a login box may be open: whoever has no session sees the box beside what is there."""
    check = authorization.test_only_allowed_roles_get_in
    assert outcome(check, matrix(302, page="redirect")) == "passed"
    assert outcome(check, matrix(200, page="form")) == "errored"
    assert outcome(check, matrix(403, page="form")) == "passed"


def guarded(status: int, page: Any, control: Any = "") -> ProtectedAnswers:
    found, opened = exchange(status, Location="/login"), exchange(200)
    return ProtectedAnswers(exchange(401), found, opened, "user", (200,), "", page, control)


@pytest.mark.parametrize(
    ("status", "page", "expected"),
    [(401, "", "passed"), (403, "form", "passed"), (302, "redirect", "passed"), (302, "", "failed"),
     (200, "form", "failed"), (200, "", "failed"), (429, "", "errored"), (503, "", "errored")],
)  # fmt: skip
def test_smoke_takes_the_login_page_as_the_security_checks_do(status: int, page: Any, expected: str) -> None:
    assert outcome(login.test_protected_endpoint_asks_who_you_are, guarded(status, page)) == expected
    ended = Session("user", "s.account", (200,), exchange(200), exchange(204), exchange(status), "", page)
    assert outcome(login.test_session_opens_and_ends, ended) == expected


def test_a_login_page_is_not_what_a_session_opens() -> None:
    assert outcome(login.test_protected_endpoint_asks_who_you_are, guarded(401, "", control="form")) == "errored"
    met = Session("user", "s.account", (200,), exchange(200), None, None, "form")
    assert outcome(login.test_session_opens_and_ends, met) == "failed"


def test_without_a_control_no_refusal_counts() -> None:
    check = authorization.test_only_allowed_roles_get_in
    for control in (401, 403, 404, 429, 500, 302):
        assert outcome(check, matrix(403, control=control)) == "errored"
    lost = replace(matrix(403), control=RoleEntry("admin", True, Entry(problem=Problem("denied", "no login"))))
    assert outcome(check, lost) == "errored"


@pytest.mark.parametrize(("status", "expected"), [(200, "failed"), (405, "passed"), (403, "passed"), (429, "errored")])
def test_other_methods_must_not_open(status: int, expected: str) -> None:
    assert outcome(authorization.test_only_allowed_roles_get_in, matrix(403, other=status)) == expected


def test_an_allowed_role_that_is_refused_warns() -> None:
    assert outcome(authorization.test_only_allowed_roles_get_in, matrix(403, allowed=404)) == "warned"


def test_a_hole_is_told_whatever_could_not_be_told_beside_it() -> None:
    ledger = judged(authorization.test_only_allowed_roles_get_in, matrix(200, other=503))
    assert str(ledger.outcome) == "failed"
    assert ledger.reasons()[0] == "refusal of user: answered 200: access was granted"


def tokens(*forged: ForgedToken, before: int = 200, after: int = 200) -> ForgedTokens:
    return ForgedTokens("user", "s.account", "jwt", (200,), entry(before), entry(after), forged)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, "passed"), (403, "passed"), (400, "passed"), (422, "passed"), (200, "failed"), (429, "errored"),
     (500, "errored"), (302, "errored")],
)  # fmt: skip
def test_what_counts_as_a_refusal_of_a_token(status: int, expected: str) -> None:
    record = tokens(ForgedToken("algorithm none", entry(status)))
    assert outcome(authentication.test_bad_tokens_are_refused, record) == expected


def test_good_tokens_frame_the_bad_ones() -> None:
    bad = ForgedToken("algorithm none", entry(401))
    assert outcome(authentication.test_bad_tokens_are_refused, tokens(bad, before=401)) == "errored"
    assert outcome(authentication.test_bad_tokens_are_refused, tokens(bad, after=401)) == "errored"


def test_a_sample_that_nobody_signed_proves_nothing_by_being_refused() -> None:
    check = authentication.test_bad_tokens_are_refused
    assert outcome(check, tokens(ForgedToken("sample expired", entry(401), genuine=False))) == "errored"
    assert outcome(check, tokens(ForgedToken("sample expired", entry(302, "redirect"), genuine=False))) == "errored"
    assert outcome(check, tokens(ForgedToken("sample expired", entry(200), genuine=False))) == "failed"
    assert outcome(check, tokens(ForgedToken("sample expired", entry(401), genuine=True))) == "passed"


def test_what_was_not_tried_is_told() -> None:
    check = authentication.test_bad_tokens_are_refused
    untried = replace(tokens(ForgedToken("algorithm none", entry(401))), not_tried="swapped algorithms: no JWKS")
    assert outcome(check, untried) == "warned"
    assert outcome(check, tokens()) == "failed"


def logins(*seconds: float, status: int = 401, after: Login | None = None, right: Login | None = None) -> BadLogins:
    good = Login("user", True, "bearer", None)
    attempts = tuple(BadLogin(status, each, "", False) for each in seconds)
    return BadLogins("eve", 10, good, attempts, right, after or good)


def test_what_counts_as_a_limit_of_bad_logins() -> None:
    check = authentication.test_passwords_cannot_be_tried_without_end
    assert outcome(check, logins(*[0.1] * 10)) == "failed"
    assert outcome(check, logins(0.1, status=429)) == "passed"
    assert outcome(check, logins(0.1, status=423)) == "passed"
    assert outcome(check, logins(0.1, 0.1, 0.1, 0.4, 0.7, 0.9, 1.2)) == "passed"
    assert outcome(check, logins(1.1, 1.0, 1.2, 1.1, 1.3, 1.6, 1.4)) == "failed"  # a slow day
    assert outcome(check, logins(*[0.1] * 10, right=Login("eve", False, "", None))) == "passed"
    assert outcome(check, logins(*[0.1] * 10, right=Login("eve", True, "bearer", None))) == "failed"
    assert outcome(check, logins(0.1, status=503)) == "errored"


def test_a_limit_must_not_shut_out_others() -> None:
    check = authentication.test_passwords_cannot_be_tried_without_end
    limited = Login("user", False, "", exchange(429), "answered 429")
    locked = Login("user", False, "", exchange(403), "answered 403")
    assert outcome(check, logins(0.1, status=429, after=limited)) == "warned"
    assert outcome(check, logins(0.1, status=429, after=locked)) == "failed"


NODE = PostgresAccess("pg:5432", 0.1, None, True, "refused", "", "SCRAM-SHA-256", "scram-sha-256")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "passed"),
        ({"plain": "closed"}, "passed"),
        ({"plain": "taken"}, "failed"),
        ({"encrypted": False}, "failed"),
        ({"asks_for": "MD5"}, "failed"),
        ({"asks_for": "plain text"}, "failed"),
        ({"asks_for": "nothing"}, "failed"),
        ({"asks_for": "GSSAPI"}, "passed"),
        ({"password_encryption": "md5"}, "failed"),
        ({"weak_passwords": 0}, "passed"),
        ({"weak_passwords": 2}, "failed"),
        ({"problem": Problem("timeout", "late")}, "errored"),
        ({"rules": (AccessRule(1, "local", "", "trust"), AccessRule(2, "host", "127.0.0.1", "trust"))}, "passed"),
        ({"rules": (AccessRule(1, "host", "::1", "md5"), AccessRule(2, "host", "samehost", "md5"))}, "passed"),
        ({"rules": (AccessRule(1, "host", "all", "reject"), AccessRule(2, "hostssl", "all", "md5"))}, "passed"),
        ({"rules": (AccessRule(1, "host", "all", "scram-sha-256"),)}, "failed"),
        ({"rules": (AccessRule(1, "hostnossl", "10.0.0.0", "md5"),)}, "failed"),
        ({"rules": (AccessRule(1, "hostssl", "10.0.0.0", "trust"),)}, "failed"),
        ({"rules": (AccessRule(1, "host", ".shop.example", "scram-sha-256"),)}, "failed"),
    ],
)
def test_what_is_wrong_with_a_postgresql_node(changes: dict[str, Any], expected: str) -> None:
    record = PostgresEncryption((replace(NODE, **changes),), "verify-full", False)
    assert outcome(encryption.test_postgres_takes_no_plain_connections, record) == expected


def test_a_client_certificate_may_stand_for_a_password() -> None:
    record = PostgresEncryption((replace(NODE, asks_for="nothing"),), "verify-full", True)
    assert outcome(encryption.test_postgres_takes_no_plain_connections, record) == "passed"


@pytest.mark.parametrize(
    ("anonymous", "said", "expected"),
    [("NOAUTH", "", "passed"), ("DENIED", "", "passed"), ("PONG", "", "failed"), ("LOADING", "", "failed"),
     ("ERR", "", "errored"), ("NOAUTH", "+PONG", "failed"), ("NOAUTH", "-NOAUTH", "failed"),
     ("NOAUTH", "-DENIED", "passed")],
)  # fmt: skip
def test_what_is_wrong_with_a_redis_node(anonymous: str, said: str, expected: str) -> None:
    ports = (PlainPort("r:6379", bool(said), said or "refuses connections"),)
    record = RedisEncryption((RedisAccess("r:6380", 0.1, None, anonymous, ports),), True)
    assert outcome(encryption.test_redis_speaks_to_nobody_in_plain, record) == expected


def test_redis_without_declared_tls_warns() -> None:
    record = RedisEncryption((RedisAccess("r:6379", 0.1, None, "NOAUTH"),), False)
    assert outcome(encryption.test_redis_speaks_to_nobody_in_plain, record) == "warned"


GOOD = ColumnSample("t.c", None, 40, entropy=7.8, size=1280, never=("card", "email", "iban"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "passed"),
        ({"cards": 10, "card_like": 10}, "failed"),
        ({"cards": 1, "card_like": 1}, "failed"),
        ({"cards": 4, "card_like": 40}, "passed"),  # tokens that keep a card's form
        ({"emails": 1}, "failed"),
        ({"emails": 1, "never": ("card",)}, "passed"),
        ({"ibans": 3}, "failed"),
        ({"plain": 0}, "passed"),
        ({"plain": 1}, "failed"),
        ({"misshapen": 1}, "failed"),
        ({"entropy": 4.4}, "failed"),
        ({"entropy": None}, "passed"),
        ({"values": 0, "entropy": None}, "errored"),
        ({"entropy": None, "never": ()}, "errored"),
        ({"problem": Problem("denied", "no")}, "errored"),
    ],
)
def test_what_is_wrong_with_a_column(changes: dict[str, Any], expected: str) -> None:
    record = PostgresColumns("pg:5432", (replace(GOOD, **changes),))
    assert outcome(encryption.test_columns_hold_no_plain_text, record) == expected
