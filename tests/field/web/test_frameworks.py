"""Logins and CSRF filters of real frameworks: Django and Flask-WTF, over TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.field.web.support import DJANGO_OVER_TLS, Results, certify, free_port, judged, outcomes, python, running

DJANGO = """
import ssl, sys
from django.conf import settings
settings.configure(
    SECRET_KEY="0123456789abcdef" * 3, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "users.db"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    SESSION_COOKIE_SECURE=True, CSRF_COOKIE_SECURE=True, LOGIN_URL="/login/", LOGIN_REDIRECT_URL="/account",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    SESSION_ENGINE="django.contrib.sessions.backends.db",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                "django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {
        "loaders": [("django.template.loaders.locmem.Loader", {"login.html":
            "<form method=post>{% csrf_token %}{{ form }}<input type=submit></form>"})]}}])
import django; django.setup()
from django.core.management import call_command
from django.contrib.auth.models import User
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path
call_command("migrate", verbosity=0)
for name in ("ann", "admin"):
    User.objects.filter(username=name).exists() or User.objects.create_user(name, password="right-one")
def health(request): return JsonResponse({"status": "ok"})
@login_required
def account(request): return JsonResponse({"user": request.user.username})
def report(request):
    if request.user.username != "admin": return HttpResponse("no", status=403)
    return JsonResponse({})
def price(request):
    GUARD
    return JsonResponse({"done": True})
urlpatterns = [path("healthz", health), path("login/", LoginView.as_view(template_name="login.html")),
               path("logout", LogoutView.as_view(next_page="/login/")), path("account", account),
               path("report", report), path("price", price)]
""" + DJANGO_OVER_TLS
GUARD = 'if request.user.username != "admin": return HttpResponse("no", status=403)'
FLASK = """
import sys
from flask import Flask, jsonify, redirect, render_template_string, request, session
from flask_wtf import FlaskForm
from flask_wtf.csrf import CSRFProtect
from wtforms import PasswordField, StringField
app = Flask(__name__)
app.secret_key = "0123456789abcdef" * 2
app.config.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")
CSRFProtect(app)
class Form(FlaskForm):
    username = StringField()
    password = PasswordField()
@app.get("/healthz")
def health(): return jsonify(status="ok")
@app.route("/login/", methods=["GET", "POST"])
def login():
    form = Form()
    if form.validate_on_submit() and form.password.data == "right-one":
        session["user"] = form.username.data
        return redirect("/account")
    return render_template_string(
        "<meta name=csrf-token content='{{ csrf_token() }}'><form method=post>{{ form.csrf_token }}"
        "{{ form.username }}{{ form.password }}</form>", form=form)
@app.post("/logout")
def logout():
    session.clear()
    return redirect("/login/")
@app.get("/account")
def account(): return jsonify(user=session["user"]) if "user" in session else redirect("/login/")
@app.get("/report")
def report(): return jsonify() if session.get("user") == "admin" else ("no", 403)
@app.post("/price")
def price():
    GUARD
    return jsonify(done=True)
app.run("127.0.0.1", int(sys.argv[1]), ssl_context=(sys.argv[2], sys.argv[2]), threaded=True)
"""
FLASK_GUARD = 'if session.get("user") != "admin": return "no", 403'
DJANGO_CSRF = 'csrf = { header = "X-CSRFToken", cookie = "csrftoken" }'
FLASK_CSRF = 'csrf = { header = "X-CSRFToken", page = "/login/", meta = "csrf-token" }'


def shop(folder: Path, code: str, cookie: str, csrf: str, who: str = 'as = "admin", ') -> Results:
    port = free_port()
    ca, leaf = certify(folder, "shop.test")
    with running(python(code, folder, str(port), leaf), port, folder):
        return judged(
            folder,
            f"""[environments.t.services.shop]
url = "https://shop.test:{port}"
connect_to = "127.0.0.1:{port}"
health = "/healthz"
public = true
tls = {{ ca = "{ca}" }}
[environments.t.services.shop.endpoints]
account = {{ request = "GET /account", as = "ann", status = 200, allow = ["ann", "admin"] }}
report = {{ request = "GET /report", as = "admin", status = 200, allow = ["admin"] }}
price = {{ request = "POST /price", json = {{ cents = 1 }}, {who}status = 200, allow = ["admin"], control = "report" }}
[environments.t.auth]
kind = "form"
service = "shop"
login = "POST /login/"
login_form = "/login/"
logout = "POST /logout"
cookie = "{cookie}"
wrong_password = {{ user = "ann" }}
{csrf}
roles.ann = {{ user = "ann", password = {{ env = "PW" }} }}
roles.admin = {{ user = "admin", password = {{ env = "PW" }} }}
""",
            ["smoke.auth.*", "smoke.api.endpoint", "security.authorization.roles", "security.authentication.logout"],
            env={"PW": "right-one"},
        )


CASES = {
    "django": (DJANGO, GUARD, "sessionid", DJANGO_CSRF),
    "flask-wtf": (FLASK, FLASK_GUARD, "session", FLASK_CSRF),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, str, str, str]:
    for needed in ("django", "flask_wtf"):
        pytest.importorskip(needed, reason=f"pip install {needed}")
    return CASES[request.param]


def test_a_guarded_endpoint_behind_a_csrf_filter(case: tuple[str, str, str, str], tmp_path: Path) -> None:
    """The login's form is filled in, unsafe requests carry the token, the role that may gets through."""
    code, guard, cookie, csrf = case
    told = outcomes(shop(tmp_path, code.replace("GUARD", guard), cookie, csrf))
    logout = told.pop("security.authentication.logout ann")  # Flask's sessions lie in the cookie: a logout ends nothing
    assert logout == ("passed" if cookie == "sessionid" else "failed")
    told.pop("security.authentication.logout admin", "")
    assert set(told.values()) == {"passed"}, told


def test_an_endpoint_that_anybody_may_use_behind_a_csrf_filter(case: tuple[str, str, str, str], tmp_path: Path) -> None:
    """With the token it is seen to be open; without, the filter's refusals count for nothing, and it is said so."""
    code, _, cookie, csrf = case
    open_to_all = code.replace("GUARD", "pass")
    found = shop(tmp_path, open_to_all, cookie, csrf)["security.authorization.roles", "shop.price"]
    assert found["outcome"] == "failed", found
    for who in ('as = "admin", ', ""):
        found = shop(tmp_path, open_to_all, cookie, "", who)["security.authorization.roles", "shop.price"]
        assert found["outcome"] == "errored", found
        assert "perhaps by a CSRF filter" in found["reason"]
