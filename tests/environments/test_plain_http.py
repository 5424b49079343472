"""Secrets never go by plain HTTP to a host that is declared by HTTPS."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.environments.queries import origin_of, secret_origins
from tests.environments.support import BASE, load_text, mistakes

AUTH = """\
[environments.dev.auth]
kind = "json"
service = "shop"
login = "POST /login"
token = "/token"
roles.buyer = { user = "u", password = { env = "PW" } }
"""
OTHER = '[environments.dev.services.other]\nurl = "{url}"\nhealth = "/"\n'
REFUSED = {
    "a role's token": (AUTH, 'endpoints.me = { request = "GET /me", status = 200, as = "buyer" }',
                       "the token of the role buyer would be sent over plain HTTP to shop.test, which services"),
    "who gets in": (AUTH, 'endpoints.me = { request = "GET /me", allow = ["buyer"] }', "the token of the role buyer"),
    "a gateway's": ("", 'authentication = { bearer = { env = "T" } }', "its credentials would be sent over plain HTTP"),
    "a header": ("", 'headers = { X-Key = { env = "T" } }', "its credentials would be sent over plain HTTP"),
    "a login": (AUTH.replace('service = "shop"', 'service = "other"'), "", "the passwords of roles would be sent"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("url", ["http://shop.test", "http://SHOP.test:8080/api"])
def test_what_is_encrypted_elsewhere(case: str, url: str, tmp_path: Path) -> None:
    more, key, expected = REFUSED[case]
    found = mistakes(tmp_path, BASE + OTHER.format(url=url) + f"{key}\n" + more)
    assert any("services.other.url" in each and expected in each and "use https" in each for each in found), found


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("url", ["https://shop.test:8443", "http://inside.test", "http://127.0.0.1:8080"])
def test_what_is_not(case: str, url: str, tmp_path: Path) -> None:
    """By HTTPS, on another host (every verdict names it), or on this machine."""
    more, key, _ = REFUSED[case]
    assert mistakes(tmp_path, BASE + OTHER.format(url=url) + f"{key}\n" + more) == []


def test_an_issuer(tmp_path: Path) -> None:
    auth = """\
[environments.dev.auth]
kind = "oidc"
issuer = "{issuer}"
roles.job = {{ client_id = "job", client_secret = {{ env = "S" }} }}
"""
    (found,) = mistakes(tmp_path, BASE + auth.format(issuer="http://shop.test/realms/x"))
    assert "the credentials of roles would be sent over plain HTTP to shop.test" in found
    assert mistakes(tmp_path, BASE + auth.format(issuer="http://localhost:8080")) == []


def test_headers_of_the_environment_are_held_back(tmp_path: Path) -> None:
    """They are for all services; one that shows that plain HTTP leads on is declared without secrets of its own."""
    text = BASE.replace("[environments.dev.services.shop]", '[environments.dev]\nheaders = { X-Key = { env = "T" } }\n'
                        "[environments.dev.services.shop]")  # fmt: skip
    environment = load_text(tmp_path, text + OTHER.format(url="http://shop.test")).environment("dev")
    assert secret_origins(environment) == {origin_of("https://shop.test")}
