"""Logins that end in browsers by where they are sent: SameSite on the way back, forms that are sent again."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

import pytest

from pytest_prodcheck.cookies import CookieStore
from tests.evidence.http.servers import Answer, Seen, web
from tests.field.web.support import Results, judged

FORM = b'<form method="post" action="/authorize"><input name="username"><input type="password" name="password"></form>'
# the state's SameSite, how the provider comes back -> what is told ("": users are in)
BACK = {
    # oauth2-proxy#1663, omniauth#1149: people log in at the provider, whose page has them sent back
    ("; SameSite=Strict", "302"): "answered 403",
    ("; SameSite=Lax", "302"): "",
    ("", "302"): "",
    # fess#3215, payload-oauth2#65: response_mode=form_post
    ("; SameSite=Lax", "form_post"): "answered 403",
    ("; SameSite=Strict", "form_post"): "answered 403",
    ("", "form_post"): "",  # as Chromium does within two minutes
    ("; SameSite=Lax", "307"): "send the form again",
}


def by_service(folder: Path, same_site: str, mode: str, provider: str) -> Results:
    """A service at shop.test whose people log in at another name."""
    ports: list[int] = []

    def shop(seen: Seen) -> Answer:
        cookies = seen.headers.get("Cookie", "")
        if seen.path == "/login":
            headers = {
                "Location": f"http://{provider}:{ports[1]}/authorize",
                "Set-Cookie": f"state=f00d; Path=/{same_site}",
            }
            return 302, headers, b""
        if seen.path.startswith("/callback"):
            if "state=f00d" not in cookies:
                return 403, {}, b"no such state"
            return (
                303,
                {"Location": "/account", "Set-Cookie": "session=beef12345678; Path=/; HttpOnly; SameSite=Lax"},
                b"",
            )
        return (200 if "session=beef" in cookies else 401), {}, b""

    def issuer(seen: Seen) -> Answer:
        back = f"http://shop.test:{ports[0]}/callback"
        if seen.method == "GET":
            return 200, {"Content-Type": "text/html"}, FORM
        assert parse_qs(seen.body.decode())["password"] == ["right-one"]
        if mode == "form_post":
            page = f'<form method="post" action="{back}"><input type="hidden" name="code" value="c"></form>'
            return 200, {"Content-Type": "text/html"}, page.encode()
        return int(mode), {"Location": f"{back}?code=c"}, b""

    with web(shop) as first, web(issuer) as second:
        ports += [first.port, second.port]
        return judged(
            folder,
            f"""services.shop.url = "http://shop.test:{first.port}"
services.shop.connect_to = "127.0.0.1:{first.port}"
services.shop.endpoints.account = {{ request = "GET /account", as = "ann", status = 200, allow = ["ann"] }}
services.people.url = "http://{provider}:{second.port}"
services.people.connect_to = "127.0.0.1:{second.port}"
auth.kind = "oidc"
auth.issuer = "http://{provider}:{second.port}"
auth.service = "shop"
auth.login = "GET /login"
auth.cookie = "session"
auth.roles.ann = {{ user = "ann", password = {{ env = "PW" }} }}
""",
            ["smoke.auth.login"],
            env={"PW": "right-one"},
        )


@pytest.mark.parametrize(("same_site", "mode"), BACK)
def test_the_way_back_from_another_site(same_site: str, mode: str, tmp_path: Path) -> None:
    said = BACK[same_site, mode]
    found = by_service(tmp_path, same_site, mode, "people.example")["smoke.auth.login", "ann"]
    assert (found["outcome"] == "passed") is (not said), found
    assert said in found["reason"]


def test_the_way_back_from_the_same_site(tmp_path: Path) -> None:
    found = by_service(tmp_path, "; SameSite=Strict", "302", "login.shop.test")["smoke.auth.login", "ann"]
    assert found["outcome"] == "passed", found


@pytest.mark.parametrize(
    ("status", "home", "good"),
    # starlette#632, lilya#257, urbit#2971, contao#2096: after 307 a browser POSTs to the page that takes GET alone
    [(303, 405, True), (302, 405, True), (307, 405, False), (308, 404, False), (307, 200, True)],
)
def test_a_login_form_that_is_sent_again(status: int, home: int, good: bool, tmp_path: Path) -> None:
    def shop(seen: Seen) -> Answer:
        if seen.path == "/login":
            return (
                status,
                {"Location": "/home", "Set-Cookie": "session=beef12345678; Path=/; HttpOnly; SameSite=Lax"},
                b"",
            )
        if seen.method == "POST":
            assert parse_qs(seen.body.decode())["password"] == ["right-one"]
            return home, {}, b""
        return (200 if "session=beef" in seen.headers.get("Cookie", "") else 401), {}, b""

    with web(shop) as server:
        found = judged(
            tmp_path,
            f"""services.shop.url = "http://shop.test:{server.port}"
services.shop.connect_to = "127.0.0.1:{server.port}"
services.shop.endpoints.account = {{ request = "GET /account", as = "ann", status = 200, allow = ["ann"] }}
auth.kind = "form"
auth.service = "shop"
auth.login = "POST /login"
auth.cookie = "session"
auth.roles.ann = {{ user = "ann", password = {{ env = "PW" }} }}
""",
            ["smoke.auth.login"],
            env={"PW": "right-one"},
        )["smoke.auth.login", "ann"]
    assert (found["outcome"] == "passed") is good, found


@pytest.mark.parametrize(
    ("page", "url", "unsafe", "sent"),
    [
        ("", "https://www.shop.co.uk/", False, "lsnu"),
        ("https://shop.co.uk/", "https://www.shop.co.uk/", True, "lsnu"),
        ("https://other.co.uk/", "https://www.shop.co.uk/", False, "lnu"),
        ("https://other.co.uk/", "https://www.shop.co.uk/", True, "nu"),
        ("http://www.shop.co.uk/", "https://www.shop.co.uk/", False, "lnu"),  # another scheme is another site
    ],
)
def test_what_another_site_has_sent(page: str, url: str, unsafe: bool, sent: str) -> None:
    """RFC 6265bis, 5.2 and 5.8.3."""
    store = CookieStore()
    words = {"l": "Lax", "s": "Strict", "n": "None", "u": "nonsense"}
    store.take(url, [("Set-Cookie", f"{name}=1; Path=/; Secure; SameSite={word}") for name, word in words.items()])
    assert "".join(name for name, _ in store.sent(url, caused_by=page, unsafe=unsafe)) == sent
