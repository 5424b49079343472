"""Forms and files in workflows and endpoints, as Flask (Werkzeug) reads them, behind Flask-WTF's CSRF filter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.field.web.support import free_port, judged, outcomes, python, running

FLASK = """
import sys
from flask import Flask, jsonify, request, session
from flask_wtf.csrf import CSRFProtect, generate_csrf
app = Flask(__name__)
app.secret_key = "0123456789abcdef" * 2
CSRFProtect(app)
@app.get("/login")
def form():
    token = f"<input type=hidden name=csrf_token value={generate_csrf()}>"
    return f"<form method=post>{token}<input name=username><input type=password name=password>"
@app.post("/login")
def login():
    session["user"] = request.form["username"]
    return "", 302, {"Location": "/account"}
@app.get("/account")
def account(): return jsonify() if "user" in session else ("", 401)
@app.post("/pictures")
def picture():
    sent = request.files["picture"]
    told = {"id": 7, "title": request.form["title"], "type": sent.mimetype}
    return jsonify(name=sent.filename, size=len(sent.read()), **told), 201
@app.post("/titles")
def title():
    good = request.mimetype == "application/x-www-form-urlencoded" and "user" in session
    return jsonify(title=request.form["title"]), 200 if good else 403
app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
"""


def test_forms_and_files(tmp_path: Path) -> None:
    """What is captured is filled in; a file is sent whole, with its name and media type."""
    pytest.importorskip("flask_wtf", reason="pip install flask-wtf")
    port = free_port()
    with running(python(FLASK, tmp_path, str(port)), port, tmp_path):
        told = outcomes(
            judged(
                tmp_path,
                f"""[environments.t.services.shop]
url = "http://127.0.0.1:{port}"
[environments.t.services.shop.endpoints]
account = {{ request = "GET /account", as = "ann", status = 200, allow = ["ann"] }}
title = {{ request = "POST /titles", as = "ann", form = {{ title = "Ünï & more" }}, status = 200, contains = "more" }}
bare = {{ request = "POST /titles", as = "ann", json = {{ title = "x" }}, status = 200 }}
[environments.t.auth]
kind = "form"
service = "shop"
login = "POST /login"
login_form = "/login"
cookie = "session"
csrf = {{ header = "X-CSRFToken", page = "/login", field = "csrf_token" }}
roles.ann = {{ user = "ann", password = {{ env = "PW" }} }}
[[environments.t.workflows.upload.steps]]
name = "picture"
request = "POST shop:/pictures"
as = "ann"
form = {{ title = "Zoë" }}
files = {{ picture = {{ content = "0123456789", name = "a b.png", type = "image/png" }} }}
status = 201
contains = '"name":"a b.png","size":10'
capture = {{ picture = "/id" }}
[[environments.t.workflows.upload.steps]]
name = "title"
request = "POST shop:/titles"
as = "ann"
form = {{ title = "number {{picture}}" }}
status = 200
contains = "number 7"
""",
                ["smoke.api.endpoint", "smoke.workflow.*", "smoke.auth.login"],
                env={"PW": "right-one"},
            )
        )
    assert told.pop("smoke.api.endpoint shop.bare") == "failed"  # Flask finds no form in JSON
    assert set(told.values()) == {"passed"}, told
