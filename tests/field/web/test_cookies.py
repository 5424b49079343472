"""Cookies of real Flask applications, and what is behind odd field lines."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from tests.evidence.http.servers import read_request
from tests.evidence.network.speakers import raw_server
from tests.field.web.support import Results, certify, free_port, judged, outcomes, python, running

SELECT = ["smoke.auth.*", "security.cookies", "smoke.service.health"]
FLASK = """
import sys
from flask import Flask, jsonify, make_response, redirect, request, session
app = Flask(__name__)
app.secret_key = "0123456789abcdef" * 2
app.config.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")

@app.get("/healthz")
def health(): return jsonify(status="ok")

@app.post("/login")
def login():
    if request.form.get("password") != "right-one": return "no", 401
    made = redirect("/account", 303)
    sign_in(made)
    return made

@app.get("/account")
def account(): return jsonify(user="ann") if is_in() else ("log in", 401)
"""
LARGE = """
import random
def sign_in(made):
    chance = random.Random(7)
    session["user"], session["grants"] = "ann", ["%032x" % chance.getrandbits(128) for _ in range(GRANTS)]
def is_in(): return "user" in session
"""
MOVED = """
def sign_in(made):
    made.set_cookie("session", "f00dfeed12345678", domain="shop.test", secure=True, httponly=True, samesite="Lax")
    made.delete_cookie("session", secure=True, httponly=True, samesite="Lax")
def is_in(): return request.cookies.get("session") == "f00dfeed12345678"
"""
ELSEWHERE = """
def sign_in(made):
    made.set_cookie("session", "f00dfeed12345678", path="/admin", secure=True, httponly=True, samesite="Lax")
def is_in(): return request.cookies.get("session") == "f00dfeed12345678"
"""
ROTATED = """
ids = ["f00dfeed12345678"]
def sign_in(made):
    made.set_cookie("session", ids[-1], secure=True, httponly=True, samesite="Lax")
def is_in(): return request.cookies.get("session") == ids[-1]
@app.after_request
def rotate(answer):
    if request.path == "/account" and answer.status_code == 200:
        ids.append("f00dfeed%08d" % len(ids))
        sign_in(answer)
    return answer
"""
RUN = "\napp.run('127.0.0.1', int(sys.argv[1]), ssl_context=(sys.argv[2], sys.argv[2]), threaded=True)\n"


def shop(
    folder: Path, code: str, select: list[str] = SELECT, host: str = "shop.test", cookie: str = "session"
) -> Results:
    port = free_port()
    ca, leaf = certify(folder, host)
    with running(python(FLASK + code + RUN, folder, str(port), leaf), port, folder):
        return judged(
            folder,
            f"""[environments.t.services.shop]
url = "https://{host}:{port}"
connect_to = "127.0.0.1:{port}"
health = "/healthz"
public = true
tls = {{ ca = "{ca}" }}
endpoints.account = {{ request = "GET /account", as = "ann", status = 200, allow = ["ann"] }}
[environments.t.auth]
kind = "form"
service = "shop"
login = "POST /login"
cookie = "{cookie}"
roles.ann = {{ user = "ann", password = {{ env = "PW" }} }}
""",
            select,
            env={"PW": "right-one"},
        )


def test_a_session_cookie_that_browsers_drop_for_its_size(tmp_path: Path) -> None:
    """RFC 6265bis, 5.6: name and value of more than 4,096 octets are ignored; Chromium answers 401 after the login."""
    found = shop(tmp_path, LARGE.replace("GRANTS", "230"))
    assert found["smoke.auth.login", "ann"]["outcome"] == "failed"
    assert "browsers refuse the cookie session: its name and value are" in found["smoke.auth.login", "ann"]["reason"]
    assert found["security.cookies", "shop"]["outcome"] in ("failed", "errored")


def test_a_session_cookie_that_just_fits(tmp_path: Path) -> None:
    assert set(outcomes(shop(tmp_path, LARGE.replace("GRANTS", "90"))).values()) == {"passed"}


def test_removing_a_cookie_leaves_the_one_of_the_domain(tmp_path: Path) -> None:
    """A cookie is its name, domain and path (RFC 6265, 5.3, step 11)."""
    assert set(outcomes(shop(tmp_path, MOVED)).values()) == {"passed"}


def test_a_cookie_that_is_not_sent_where_it_is_needed_is_no_login(tmp_path: Path) -> None:
    found = shop(tmp_path, ELSEWHERE)["smoke.auth.login", "ann"]
    assert found["outcome"] == "failed"
    assert "browsers send to shop.test/admin" in found["reason"]


def test_a_session_that_is_renewed_by_each_answer(tmp_path: Path) -> None:
    """All requests of a role share one store: the next one carries what the last answer set."""
    assert set(
        outcomes(shop(tmp_path, ROTATED, ["smoke.auth.login", "smoke.auth.required", "smoke.api.*"])).values()
    ) == {"passed"}


SET = """
def sign_in(made):
    for line in LINES:
        made.headers.add("Set-Cookie", line)
def is_in(): return "f00dfeed12345678" in request.headers.get("Cookie", "")
"""
GUARDS = "; Secure; HttpOnly; SameSite=Lax"
VALUE = "=f00dfeed12345678"
# a report's situation: host, session cookie, what the login sets, and what is said ("": users are in)
REPORTS = {
    "prefix with a Domain": ("shop.test", "__Host-s", [f"__Host-s{VALUE}; Path=/; Domain=shop.test{GUARDS}"],
                             "with a Domain"),
    "prefix without Secure": ("shop.test", "__Host-s", [f"__Host-s{VALUE}; Path=/; HttpOnly"], "without Secure"),
    "SameSite=None without Secure": ("shop.test", "s", [f"s{VALUE}; Path=/; HttpOnly; SameSite=None"],
                                     "without Secure"),
    "a public suffix": ("shop.vercel.app", "s", [f"s{VALUE}; Path=/; Domain=.vercel.app{GUARDS}"], "public suffix"),
    "another host's Domain": ("shop.test", "s", [f"s{VALUE}; Path=/; Domain=old.test{GUARDS}"], "not the host's"),
    "the path of the login": ("shop.test", "s", [f"s{VALUE}; Path=/account/login{GUARDS}"], "browsers send to"),
    "an encoded path is none": ("shop.test", "s", [f"s{VALUE}; Path=%2Faccount{GUARDS}"], ""),
    "an address as Domain is host-only": (
        "127.0.0.1", "s", [f"s{VALUE}; Path=/; Domain=127.0.0.1{GUARDS}", f"s=; Path=/; Max-Age=0{GUARDS}"],
        "without the cookie"),
    "joined by a comma": ("shop.test", "s", [f"theme=dark; Path=/,s{VALUE}; Path=/{GUARDS}"], "without the cookie"),
    "joined by a semicolon": ("shop.test", "s", [f"s{VALUE}; Path=/; logout=deleted; Max-Age=0; Path=/{GUARDS}"],
                              "without the cookie"),
    "removed and set in one answer": ("shop.test", "s", ["s=gone; Max-Age=0; Path=/", f"s{VALUE}; Path=/{GUARDS}"], ""),
    "two of one name": ("shop.test", "s", [f"s=old; Path=/{GUARDS}", f"s{VALUE}; Path=/account{GUARDS}"], ""),
}  # fmt: skip


@pytest.mark.parametrize("report", REPORTS)
def test_logins_that_browsers_undo(report: str, tmp_path: Path) -> None:
    host, cookie, lines, said = REPORTS[report]
    found = shop(tmp_path, SET.replace("LINES", repr(lines)), ["smoke.auth.login"], host, cookie)
    result = found["smoke.auth.login", "ann"]
    assert result["outcome"] == ("failed" if said else "passed"), result
    assert said in result["reason"]


ODD = {
    "well-formed": b"X-Frame: DENY\r\n",
    "blank before the colon": b"X-Frame : DENY\r\n",
    "blank in a name": b"My Param: None\r\n",
    "no colon": b"X-Debug\r\n",
    "folded": b"",
}


@pytest.mark.parametrize("odd", ODD)
def test_what_stands_behind_an_odd_line_counts(odd: str, tmp_path: Path) -> None:
    """Chromium takes and sends the cookie of all five, and a script may read it."""
    _, leaf = certify(tmp_path, "shop.test")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(leaf)
    cookie = b"Set-Cookie: sessionid=abcdef123456;" + (b"\r\n" if odd == "folded" else b"") + b" Path=/\r\n"
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n" + ODD[odd] + cookie
        + b"Strict-Transport-Security: max-age=31536000\r\nX-Content-Type-Options: nosniff\r\n"
        + b'Content-Length: 15\r\nConnection: close\r\n\r\n{"status":"ok"}'
    )  # fmt: skip

    def speak(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as inner:
            read_request(inner)
            inner.sendall(answer)

    with raw_server(speak) as port:
        found = judged(
            tmp_path,
            f"""[environments.t.services.shop]
url = "https://shop.test:{port}"
connect_to = "127.0.0.1:{port}"
public = true
health = "/healthz"
tls = {{ ca = "{tmp_path / "ca.pem"}" }}
""",
            ["security.cookies", "security.headers.hsts", "security.headers.content-type", "smoke.service.health"],
        )
    told = outcomes(found)
    assert told.pop("security.cookies shop") == "failed"
    assert set(told.values()) == {"passed"}, found
    assert threading.active_count() < 50
