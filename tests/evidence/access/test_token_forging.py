"""Forged tokens: a strict server takes none, each kind of lax one takes those that are made for it."""

from __future__ import annotations

import jwt as pyjwt
import pytest

from pytest_prodcheck.demo.shop.tokens import WEAKNESSES, Issuer, samples
from pytest_prodcheck.evidence.access.jwks import forms
from pytest_prodcheck.evidence.access.token_forging import Jwt, forgeries, garbled, guessable, parse
from pytest_prodcheck.evidence.access.tokens import MOST

NONE: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def good(issuer: Issuer) -> Jwt:
    found = parse(issuer.issue("ann", "customer", "session-1", 60, NONE))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def forged(issuer: Issuer, good: Jwt) -> dict[str, str]:
    key = pyjwt.PyJWKSet.from_dict(issuer.jwks(NONE)).keys[0]
    return {each.case: each.token for each in forgeries(good, forms(key))}


def test_a_strict_server_takes_none(issuer: Issuer, good: Jwt, forged: dict[str, str]) -> None:
    assert issuer.session_of(f"{good.head}.{good.body}.{good.signature}", NONE) == "session-1"
    assert {case for case, token in forged.items() if issuer.session_of(token, NONE)} == set()
    assert len(forged) == len(set(forged.values())) <= MOST


@pytest.mark.parametrize(
    ("weakness", "cases"),
    [
        ("token-alg-none", {"algorithm none"}),
        ("token-alg-none-cased", {"algorithm None", "algorithm NONE", "algorithm nOnE"}),
        ("token-any-rsa-key", {"signed with another key", "its own key in jwk", "kid is unknown"}),
        ("token-algorithm-swapped", {"signed with the public key as HMAC secret (PEM)"}),
        ("token-empty-secret", {"signed with an empty HMAC secret"}),
        ("token-kid-path", {"kid is a path to an empty file"}),
        ("token-kid-sql", {"kid is an SQL injection"}),
        ("token-kid-unknown", {"kid is unknown"}),
        ("token-brings-its-key", {"its own key in jwk"}),
        ("token-key-from-address", {"its own key at jku", "its own certificate at x5u"}),
        ("token-signature-optional", {"signature removed", "signature removed with its dot"}),
        ("token-signature-unchecked", {"signature changed", "claims changed under their signature"}),
    ],
)
def test_each_lax_server_takes_what_is_made_for_it(
    issuer: Issuer, forged: dict[str, str], weakness: str, cases: set[str]
) -> None:
    taken = {case for case, token in forged.items() if issuer.session_of(token, frozenset({weakness}))}
    assert cases <= taken


def test_every_weakness_of_the_demo_is_covered() -> None:
    by_sample = {"token-expired", "token-not-yet-valid", "token-other-issuer", "token-other-audience"}
    assert by_sample | {"token-secret-guessable"} <= set(WEAKNESSES)


@pytest.mark.parametrize("name", ["expired", "not-yet-valid", "other-issuer", "other-audience"])
def test_samples_are_taken_only_by_those_who_do_not_look(issuer: Issuer, name: str) -> None:
    token = samples(issuer, "ann", "customer", "session-1")[name]
    assert issuer.session_of(token, NONE) == ""
    assert issuer.session_of(token, frozenset({f"token-{name}"})) == "session-1"


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "EdDSA", "PS256", "RS512", "HS256", "HS512"])
def test_tokens_of_other_algorithms_are_forged_too(algorithm: str) -> None:
    from pytest_prodcheck.evidence.access.token_forging import _new_key

    key, public = _new_key.__wrapped__(algorithm)  # the forger keeps its own
    found = parse(pyjwt.encode({"sub": "ann"}, key, algorithm))
    assert found is not None
    made = list(forgeries(found))
    assert ("signature of zeros" in {each.case for each in made}) == algorithm.startswith("ES")
    for each in made:
        with pytest.raises(pyjwt.InvalidTokenError):
            pyjwt.decode(each.token, public, [algorithm])


def test_an_unknown_algorithm_is_forged_as_rs256() -> None:
    found = parse("eyJhbGciOiJYWjk5In0.eyJzdWIiOiJhbm4ifQ.c2lnbmVk")
    assert found is not None
    assert found.algorithm == "XZ99"
    assert {each.case for each in forgeries(found)} >= {"algorithm none", "signed with another key"}


@pytest.mark.parametrize(
    "token",
    ["", "opaque", "a.b", "a.b.c", "e30.e30.", "e30.e30.AAAA", "W10.e30.AAAA", "eyJhbGciOjF9.!!.AAAA", "ä.b.c", "..",
     "eyJhbGciOiJIUzI1NiJ9.bm8ganNvbg.AAAA", "a.b.c.d.e"],
)  # fmt: skip
def test_what_is_no_jwt_is_taken_for_none(token: str) -> None:
    assert parse(token) is None


@pytest.mark.filterwarnings("ignore:The HMAC key")
def test_secrets_that_everybody_tries_are_found_without_asking() -> None:
    secrets = {"secret": True, "your-256-bit-secret": True, "a long one that nobody guesses 4711": False}
    for secret, expected in secrets.items():
        found = parse(pyjwt.encode({"sub": "ann"}, secret, "HS256"))
        assert found is not None
        assert guessable(found) is expected


def test_opaque_tokens_are_garbled() -> None:
    made = [each.token for each in garbled("0123456789")]
    assert made == ["01234A6789", "0123456"]
    assert "0123456789" not in [each.token for each in garbled("A")]
