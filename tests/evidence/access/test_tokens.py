"""Forged tokens against local servers: what is sent, what is kept, when nothing can be told."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest

from pytest_prodcheck.demo.shop.tokens import Issuer, samples
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.access import ForgedTokens
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, Web, web

JSON = {"Content-Type": "application/json"}
NONE: frozenset[str] = frozenset()


class Site:
    """Logs in with a token (or a cookie that holds it), and opens /account to it alone."""

    def __init__(self, token: str, jwks: object = None, cookie: bool = False) -> None:
        self.token, self.jwks, self.cookie = token, jwks, cookie
        self.refusal = 401

    def __call__(self, seen: Seen) -> Answer:
        if seen.path == "/login":
            more = {"Set-Cookie": f"session={self.token}; Path=/"} if self.cookie else {}
            return 200, {**JSON, **more}, json.dumps({} if self.cookie else {"token": self.token}).encode()
        if seen.path == "/jwks":
            return 200, JSON, json.dumps(self.jwks).encode()
        shown = seen.headers.get("Authorization", "").removeprefix("Bearer ")
        shown = seen.headers.get("Cookie", "").removeprefix("session=") if self.cookie else shown
        good = shown == self.token
        return (200 if good else self.refusal), {**JSON, "X-Echo": shown}, json.dumps({"shown": shown}).encode()


def context(root: Path, server: Web, cookie: bool = False, **tokens: Any) -> Context:
    (root / "password").write_text("canary-password")
    endpoints = {"account": {"request": "GET /account", "status": 200, "allow": ["user"]}}
    auth: dict[str, Any] = {
        "kind": "json", "service": "s", "login": "POST /login", "tokens": tokens,
        "roles": {"user": {"user": "ann", "password": {"file": "password"}}},
        **({"cookie": "session"} if cookie else {"token": "/token"}),
    }  # fmt: skip
    services = {"s": {"url": f"http://127.0.0.1:{server.port}", "endpoints": endpoints}}
    return context_for(root, services=services, auth=auth)


def gather(given: Context) -> ForgedTokens:
    found: ForgedTokens = find("auth-tokens").gather("s", given, Deadline(20))
    return found


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.mark.parametrize("cookie", [False, True])
def test_every_forgery_is_sent_between_two_good_tokens(tmp_path: Path, issuer: Issuer, cookie: bool) -> None:
    token = issuer.issue("ann", "user", "session-1", 60, NONE)
    with web(Site(token, issuer.jwks(NONE), cookie)) as server:
        given = context(tmp_path, server, cookie, jwks="/jwks")
        found = gather(given)
        sent = [each for each in server.requests if each.path == "/account"]
    assert found.kind == "jwt"
    assert found.not_tried == ""
    statuses = [each.entry.exchange.status for each in found.forged if each.entry.exchange]
    assert statuses == [401] * len(found.forged)
    assert len(found.forged) >= 19
    assert [each.exchange.status for each in (found.before, found.after) if each.exchange] == [200, 200]
    assert len(sent) == len(found.forged) + 2 + cookie  # a cookie is tried once to see whether it is a session
    assert not any("prodcheck.invalid" in str(each.headers.get("Host")) for each in server.requests)


def test_nothing_of_a_token_is_kept(tmp_path: Path, issuer: Issuer) -> None:
    token = issuer.issue("ann", "user", "session-1-abcdef", 60, NONE)
    with web(Site(token, issuer.jwks(NONE))) as server:
        given = context(tmp_path, server, jwks="/jwks")
        kept = str(given.redactor.redact_data(gather(given)))
    for part in (token, *token.split(".")[1:], "session-1-abcdef", "canary-password"):
        assert part not in kept
    left = [urlsafe_b64decode(part + "===") for part in re.findall(r"eyJ[A-Za-z0-9_-]+", kept)]
    assert all(b'"alg"' in part for part in left)  # headers


def test_opaque_tokens_are_garbled_only(tmp_path: Path) -> None:
    with web(Site("opaque-0123456789")) as server:
        found = gather(context(tmp_path, server))
    assert found.kind == "opaque"
    assert [each.case for each in found.forged] == ["one character changed", "its end missing"]


def test_without_a_jwks_algorithms_are_not_swapped_and_that_is_told(tmp_path: Path, issuer: Issuer) -> None:
    with web(Site(issuer.issue("ann", "user", "s", 60, NONE))) as server:
        found = gather(context(tmp_path, server))
    assert "JWKS" in found.not_tried
    assert not [each for each in found.forged if "public key" in each.case]


@pytest.mark.filterwarnings("ignore:The HMAC key")
def test_a_secret_that_can_be_guessed_is_told(tmp_path: Path) -> None:
    with web(Site(pyjwt.encode({"sub": "ann"}, "secret", "HS256"))) as server:
        assert gather(context(tmp_path, server)).guessable


def test_the_jwks_of_another_issuer_proves_nothing(tmp_path: Path, issuer: Issuer) -> None:
    site = Site(issuer.issue("ann", "user", "s", 60, NONE), Issuer().jwks(NONE))
    with web(site) as server, pytest.raises(EvidenceProblem, match="no key of the declared JWKS"):
        gather(context(tmp_path, server, jwks="/jwks"))


@pytest.mark.parametrize("jwks", [[], {}, {"keys": []}, {"keys": "x"}, "nonsense"])
def test_what_is_no_jwks_is_a_problem(tmp_path: Path, issuer: Issuer, jwks: object) -> None:
    site = Site(issuer.issue("ann", "user", "s", 60, NONE), jwks)
    with web(site) as server, pytest.raises(EvidenceProblem, match="JWKS"):
        gather(context(tmp_path, server, jwks="/jwks"))


def test_keys_that_nobody_knows_are_left_out(tmp_path: Path, issuer: Issuer) -> None:
    """A JWKS may hold new kinds of keys, and two while they are changed."""
    listed = issuer.jwks(frozenset({"token-keys-changing"}))["keys"]
    odd = [{"kty": "AKP", "alg": "ML-DSA-44"}, {"kty": "RSA"}, 7, *listed]
    with web(Site(issuer.issue("ann", "user", "s", 60, NONE), {"keys": odd})) as server:
        assert gather(context(tmp_path, server, jwks="/jwks")).not_tried == ""


def test_samples_say_what_is_wrong_with_them_and_whether_they_were_signed(tmp_path: Path, issuer: Issuer) -> None:
    made = {**samples(issuer, "ann", "user", "s"), "foreign": samples(Issuer(), "ann", "user", "s")["expired"]}
    for name, token in made.items():
        (tmp_path / name).write_text(token)
    refused = {name: {"file": name} for name in made}
    with web(Site(issuer.issue("ann", "user", "s", 60, NONE), issuer.jwks(NONE))) as server:
        found = gather(context(tmp_path, server, jwks="/jwks", refused=refused))
    told = {each.case: (each.detail, each.genuine) for each in found.forged if each.case.startswith("sample")}
    assert told == {
        "sample expired": ("expired 60 min ago", True),
        "sample not-yet-valid": ("good in 23 h", True),
        "sample other-issuer": ("other iss", True),
        "sample other-audience": ("other aud", True),
        "sample foreign": ("expired 60 min ago", False),
    }


def test_an_endpoint_that_goes_away_meanwhile_is_a_problem_of_each_request(tmp_path: Path) -> None:
    site = Site("opaque-0123456789")
    site.refusal = 503
    with web(site) as server:
        found = gather(context(tmp_path, server))
    assert {each.entry.exchange.status for each in found.forged if each.entry.exchange} == {503}
