"""Logins of all kinds against a local server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.table import find
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for
from tests.evidence.http.servers import Answer, Seen, Web, web

PASSWORD = "canary-password"
TOKEN = "canary-token-0123"
JSON = {"Content-Type": "application/json"}


class Site:
    """A site with every kind of login; tokens and cookies open /account until logout."""

    def __init__(self) -> None:
        self.valid: set[str] = set()
        self.made = 0
        self.issuer = ""
        self.hand_out_cookies_to_all = False
        self.auth_methods: list[str] | None = None
        self.sends_to = ""  # where people without a session are sent

    def __call__(self, seen: Seen) -> Answer:
        path = seen.path.partition("?")[0]
        page = {
            "/login": self.json_login, "/form": self.form_login, "/account": self.account, "/logout": self.logout,
            "/token": self.token, "/.well-known/openid-configuration": self.discovery,
        }.get(path)  # fmt: skip
        return page(seen) if page else (404, {}, b"")

    def new(self) -> str:
        self.made += 1
        value = f"{TOKEN}-{self.made}"
        self.valid.add(value)
        return value

    def json_login(self, seen: Seen) -> Answer:
        told = json.loads(seen.body)
        if (told["user"], told["password"]) != ("ann", PASSWORD):
            return 401, JSON, b'{"error": "no"}'
        return 200, JSON, json.dumps({"data": {"token": self.new()}}).encode()

    def form_login(self, seen: Seen) -> Answer:
        told = {key: values[0] for key, values in parse_qs(seen.body.decode()).items()}
        good = (told.get("user"), told.get("password")) == ("ann", PASSWORD)
        if not good and not self.hand_out_cookies_to_all:
            return 200, {}, b"<form>again</form>"
        cookie = self.new() if good else "visitor-cookie"
        return 302, {"Set-Cookie": f"sid={cookie}; HttpOnly", "Location": "/"}, b""

    def carried(self, seen: Seen) -> str:
        cookie = seen.headers.get("Cookie", "").removeprefix("sid=")
        return cookie or seen.headers.get("Authorization", "").removeprefix("Bearer ")

    def account(self, seen: Seen) -> Answer:
        plain = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
        good = self.carried(seen) in self.valid or seen.headers.get("Authorization") == f"Basic {plain}"
        if not good and self.sends_to:
            return 302, {"Location": self.sends_to}, b""
        return (200, JSON, json.dumps({"you": self.carried(seen)}).encode()) if good else (401, {}, b"")

    def logout(self, seen: Seen) -> Answer:
        self.valid.discard(self.carried(seen))
        return 204, {}, b""

    def discovery(self, seen: Seen) -> Answer:
        document: dict[str, Any] = {"issuer": self.issuer, "token_endpoint": f"{self.issuer}/token"}
        if self.auth_methods is not None:
            document["token_endpoint_auth_methods_supported"] = self.auth_methods
        return 200, JSON, json.dumps(document).encode()

    def token(self, seen: Seen) -> Answer:
        told = {key: values[0] for key, values in parse_qs(seen.body.decode()).items()}
        plain = base64.b64encode(f"app:{PASSWORD}".encode()).decode()
        by_header = seen.headers.get("Authorization") == f"Basic {plain}"
        by_body = (told.get("client_id"), told.get("client_secret")) == ("app", PASSWORD)
        if not (by_body if self.auth_methods == ["client_secret_post"] else by_header):
            return 401, JSON, b'{"error": "invalid_client"}'
        if told["grant_type"] != "client_credentials" or told.get("audience") != "api":
            return 400, JSON, b'{"error": "invalid_request"}'
        return 200, JSON, json.dumps({"access_token": self.new(), "token_type": "Bearer"}).encode()


@contextmanager
def site(root: Path, auth: dict[str, Any], **role: Any) -> Iterator[tuple[Site, Web, Context]]:
    (root / "pw").write_text(PASSWORD + "\n")
    behaviour = Site()
    with web(behaviour) as server:
        behaviour.issuer = url = f"http://127.0.0.1:{server.port}"
        auth = {key: value.replace("{url}", url) if isinstance(value, str) else value for key, value in auth.items()}
        roles = {"customer": role or {"user": "ann", "password": {"file": "pw"}}}
        endpoints = {"account": {"request": "GET /account", "as": "customer", "status": 200, "allow": ["customer"]}}
        context = context_for(
            root,
            services={"shop": {"url": url, "endpoints": endpoints}},
            auth={"service": "shop", "fields": {"user": "user", "password": "password"}, "roles": roles, **auth},
        )
        yield behaviour, server, context


def gather(name: str, context: Context, target: str) -> Any:
    found = find(name).gather(target, context, Deadline(5))
    for canary in (PASSWORD, TOKEN, base64.b64encode(f"ann:{PASSWORD}".encode()).decode()):
        assert canary not in repr(found)
    return found


BY_JSON = {"kind": "json", "login": "POST /login", "token": "/data/token", "logout": "POST /logout"}
BY_FORM = {"kind": "form", "login": "POST /form", "cookie": "sid", "logout": "POST /logout"}
BY_BASIC = {"kind": "basic", "login": "GET /account"}
BY_OIDC = {"kind": "oidc", "issuer": "{url}", "audience": "api"}
BY_CLIENT = {"kind": "client_credentials", "token_url": "{url}/token", "audience": "api"}
CLIENT = {"client_id": "app", "client_secret": {"file": "pw"}}
ALL = [
    (BY_JSON, {}, "bearer"), (BY_FORM, {}, "cookie"), (BY_BASIC, {}, "basic"), (BY_OIDC, CLIENT, "bearer"),
    (BY_CLIENT, CLIENT, "bearer"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("auth", "role", "carrier"), ALL, ids=lambda value: value.get("kind") if isinstance(value, dict) else None
)
def test_good_credentials_open_what_is_protected(tmp_path: Path, auth: Any, role: Any, carrier: str) -> None:
    with site(tmp_path, auth, **role) as (behaviour, _, context):
        login = gather("auth-login", context, "customer")
        assert (login.granted, login.carrier, login.reason) == (True, carrier, "")
        assert gather("http-endpoint", context, "shop.account").status == 200
        guarded = gather("auth-required", context, "shop.account")
        assert behaviour.made <= 1
    assert (guarded.anonymous.status, guarded.garbage.status, guarded.control.status) == (401, 401, 200)
    assert (guarded.control_role, guarded.control_expected) == ("customer", (200,))


@pytest.mark.parametrize(
    ("auth", "role", "carrier"), ALL, ids=lambda value: value.get("kind") if isinstance(value, dict) else None
)
def test_wrong_credentials_are_told_as_refused(tmp_path: Path, auth: Any, role: Any, carrier: str) -> None:
    (tmp_path / "other").write_text("not-the-password")
    wrong = (
        {"client_id": "app", "client_secret": {"file": "other"}}
        if role
        else {"user": "ann", "password": {"file": "other"}}
    )
    with site(tmp_path, auth, **wrong) as (_, _, context):
        login = gather("auth-login", context, "customer")
        assert (login.granted, login.carrier) == (False, "")
        assert login.reason
        with pytest.raises(EvidenceProblem) as caught:
            gather("http-endpoint", context, "shop.account")
    assert caught.value.problem.kind == "denied"


def test_the_way_to_the_login_page_is_told_for_sessions(tmp_path: Path) -> None:
    """A browser's session is refused by it, before the login and after the logout."""
    with site(tmp_path, {**BY_FORM, "logout_revokes": True, "login_page": "/sign-in"}) as (behaviour, _, context):
        behaviour.sends_to = "/sign-in?next=%2Faccount"
        guarded = gather("auth-required", context, "shop.account")
        session = gather("auth-session", context, "customer")
    assert (guarded.anonymous.status, guarded.control.status, session.after.status) == (302, 200, 302)
    assert (guarded.anonymous_login, guarded.garbage_login, guarded.control_login) == ("redirect", "redirect", "")
    assert (session.opened_login, session.after_login) == ("", "redirect")


@pytest.mark.parametrize("auth", [BY_JSON, BY_FORM], ids=["json", "form"])
def test_a_session_ends_at_logout_and_is_not_the_shared_one(tmp_path: Path, auth: dict[str, Any]) -> None:
    with site(tmp_path, {**auth, "logout_revokes": True}) as (_, _, context):
        gather("auth-login", context, "customer")
        session = gather("auth-session", context, "customer")
        assert (session.opened.status, session.logout.status, session.after.status) == (200, 204, 401)
        assert gather("http-endpoint", context, "shop.account").status == 200


def test_bad_logins_are_tried_beside_a_good_one(tmp_path: Path) -> None:
    with site(tmp_path, {**BY_JSON, "wrong_password": {"user": "lockme"}}) as (_, server, context):
        found = gather("auth-rejections", context, "auth")
        tried = [json.loads(each.body) for each in server.requests if each.path == "/login"]
    assert found.control.granted
    assert [(each.case, each.granted, each.exchange.status) for each in found.attempts] == [
        ("wrong password", False, 401), ("unknown user", False, 401), ("empty password", False, 401),
    ]  # fmt: skip
    assert [each["user"] for each in tried[1:]] == ["lockme", tried[2]["user"], "lockme"]
    assert tried[3]["password"] == ""


def test_a_cookie_of_the_form_that_browsers_refuse_is_told(tmp_path: Path) -> None:
    """Why a login with a good password is refused: the form's token belongs to a cookie that nobody keeps."""
    form = b'<form method=post><input type=hidden name=t value=1><input name=user><input type=password name=password>'

    def answer(seen: Seen) -> Answer:
        cookie = {"Set-Cookie": "__Host-form=f00d; Path=/; HttpOnly", "Content-Type": "text/html"}
        return (200, cookie, form) if seen.method == "GET" else (403, {}, b"")

    with web(answer) as server:
        (tmp_path / "pw").write_text(PASSWORD)
        auth = {"kind": "form", "service": "shop", "login": "POST /login", "login_form": "/login", "cookie": "sid",
                "fields": {"user": "user"}, "roles": {"ann": {"user": "ann", "password": {"file": "pw"}}}}  # fmt: skip
        services = {"shop": {"url": f"http://127.0.0.1:{server.port}"}}
        deadline = Deadline(5)
        login = find("auth-login").gather("ann", context_for(tmp_path, services=services, auth=auth), deadline)
    assert not login.granted
    assert login.reason.startswith("answered 403 (/login: browsers refuse its cookie __Host-form: ")


def test_a_cookie_that_opens_nothing_is_no_session(tmp_path: Path) -> None:
    with site(tmp_path, {**BY_FORM, "wrong_password": {"user": "lockme"}}) as (behaviour, _, context):
        behaviour.hand_out_cookies_to_all = True
        found = gather("auth-rejections", context, "auth")
    assert found.control.granted
    assert not any(each.granted for each in found.attempts)


def test_the_way_that_discovery_names_is_taken(tmp_path: Path) -> None:
    with site(tmp_path, BY_OIDC, **CLIENT) as (behaviour, server, context):
        behaviour.auth_methods = ["client_secret_post"]
        assert gather("auth-login", context, "customer").granted
        assert [each.path for each in server.requests] == ["/.well-known/openid-configuration", "/token"]


def test_another_issuer_is_not_trusted(tmp_path: Path) -> None:
    with site(tmp_path, BY_OIDC, **CLIENT) as (behaviour, _, context):
        behaviour.issuer = "https://elsewhere.example"
        with pytest.raises(EvidenceProblem, match="not about the issuer"):
            gather("auth-login", context, "customer")


@pytest.mark.parametrize(
    ("auth", "told"),
    [
        ({"kind": "json", "login": "POST /login"}, "neither `token` nor `cookie`"),
        ({"kind": "json", "token": "/t"}, "needs `service` and `login`"),
        ({"kind": "oidc"}, "needs `issuer`"),
        ({"kind": "client_credentials"}, "needs `token_url`"),
    ],
)
def test_half_a_configuration_is_told(tmp_path: Path, auth: dict[str, Any], told: str) -> None:
    with site(tmp_path, auth) as (_, server, context), pytest.raises(EvidenceProblem, match=told):
        gather("auth-login", context, "customer")
    assert server.requests == []
