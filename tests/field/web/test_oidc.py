"""Logins at an OpenID Connect provider (django-oauth-toolkit: PKCE, consent), and a service of Authlib's before it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.field.web.support import DJANGO_OVER_TLS, Results, certify, free_port, judged, outcomes, python, running

PROVIDER = """
import ssl, sys
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import serialization as form
from django.conf import settings
key = rsa.generate_private_key(65537, 2048).private_bytes(
    form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption()).decode()
settings.configure(
    SECRET_KEY="0123456789abcdef" * 3, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "provider.db"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider"],
    SESSION_COOKIE_SECURE=True, CSRF_COOKIE_SECURE=True, LOGIN_URL="/login/",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    OAUTH2_PROVIDER={"OIDC_ENABLED": True, "OIDC_RSA_PRIVATE_KEY": key, "PKCE_REQUIRED": True,
                     "SCOPES": {"openid": "who you are"}},
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": False, "OPTIONS": {
        "loaders": [("django.template.loaders.locmem.Loader", {
            "login.html": "<form method=post>{% csrf_token %}{{ form }}<input type=hidden name=next value='{{ next }}'>"
                          "<input type=submit></form>"}),
            "django.template.loaders.app_directories.Loader"]}}])
import django; django.setup()
from django.core.management import call_command
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import include, path
from oauth2_provider.decorators import protected_resource
from oauth2_provider.models import Application
call_command("migrate", verbosity=0)
User.objects.create_user("ann", password="right-one")
for name, callback in (("program", "https://shop.test/callback"), ("shop", sys.argv[3])):
    Application.objects.create(name=name, client_id=name, client_secret="", client_type="public", algorithm="RS256",
        authorization_grant_type="authorization-code", redirect_uris=callback, skip_authorization=name == "shop")
@protected_resource(scopes=["openid"])
def account(request): return JsonResponse({"user": request.resource_owner.username})
urlpatterns = [path("login/", LoginView.as_view(template_name="login.html")), path("account", account),
               path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]
""" + DJANGO_OVER_TLS
SERVICE = """
import sys
from authlib.integrations.flask_client import OAuth
from flask import Flask, jsonify, redirect, session, url_for
app = Flask(__name__)
app.secret_key = "0123456789abcdef" * 2
app.config.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_NAME="__Host-shop")
provider = OAuth(app).register("provider", client_id="shop", server_metadata_url=sys.argv[3] +
    "/.well-known/openid-configuration", client_kwargs={"scope": "openid", "code_challenge_method": "S256",
                                                        "token_endpoint_auth_method": "none"})
@app.get("/login")
def login(): return provider.authorize_redirect(url_for("callback", _external=True))
@app.get("/callback")
def callback():
    session["user"] = provider.authorize_access_token()["userinfo"]["sub"]
    BACK
    return redirect("/")
@app.get("/")
def home(): return "home"
@app.post("/logout")
def logout():
    session.clear()
    return redirect("/")
@app.get("/account")
def account(): return jsonify(user=session["user"]) if "user" in session else redirect("/login")
app.run("127.0.0.1", int(sys.argv[1]), ssl_context=(sys.argv[2], sys.argv[2]), threaded=True)
"""


@dataclass
class Provider:
    """A running provider; `shop` is the port that its service has to listen on."""

    folder: Path
    ca: str
    leaf: str
    port: int
    shop: int

    @property
    def issuer(self) -> str:
        return f"https://localhost:{self.port}/o"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    for needed, package in (("oauth2_provider", "django-oauth-toolkit"), ("authlib", "authlib"), ("flask", "flask")):
        pytest.importorskip(needed, reason=f"pip install {package}")
    folder = tmp_path_factory.mktemp("provider")
    ca, leaf = certify(folder, "localhost", "127.0.0.1")
    made = Provider(folder, ca, leaf, free_port(), free_port())
    words = python(PROVIDER, folder, str(made.port), leaf, f"https://127.0.0.1:{made.shop}/callback")
    with running(words, made.port, folder):
        socket.create_connection(("127.0.0.1", made.port)).close()
        yield made


def by_code(provider: Provider, folder: Path, more: str, user: str = "ann", **env: str) -> Results:
    """What is judged of a client of the provider's: its token opens the resource."""
    return judged(
        folder,
        f"""[environments.t.services.api]
url = "https://localhost:{provider.port}"
tls = {{ ca = "{provider.ca}" }}
endpoints.account = {{ request = "GET /account", as = "ann", status = 200, allow = ["ann"] }}
[environments.t.auth]
kind = "oidc"
issuer = "{provider.issuer}"
tls = {{ ca = "{provider.ca}" }}
redirect_uri = "https://shop.test/callback"
{more}
roles.ann = {{ grant = "authorization_code", client_id = "program", user = "{user}", password = {{ env = "PW" }} }}
""",
        ["smoke.auth.*", "smoke.api.endpoint"],
        env={"PW": "right-one", **env},
    )


def test_a_code_with_pkce_behind_a_login_form_and_consent(provider: Provider, tmp_path: Path) -> None:
    found = by_code(provider, tmp_path, 'consent = "allow"')
    told = outcomes(found)
    assert set(told.values()) == {"passed"}, found
    assert {"smoke.auth.login ann", "smoke.auth.required api.account", "smoke.auth.session ann"} <= set(told)


def test_what_a_provider_refuses(provider: Provider, tmp_path: Path) -> None:
    """A password that is wrong; consent where nobody said which button gives it."""
    wrong = by_code(provider, tmp_path, 'consent = "allow"', PW="wrong-one")["smoke.auth.login", "ann"]
    assert wrong["outcome"] == "failed"
    assert "shows its login form again" in wrong["reason"]
    silent = by_code(provider, tmp_path, "")["smoke.auth.login", "ann"]
    assert silent["outcome"] == "errored"
    assert "consent = … (" in silent["reason"]


def by_service(provider: Provider, folder: Path, code: str) -> Results:
    """What is judged of a service that sends people to the provider."""
    environ = {**os.environ, "REQUESTS_CA_BUNDLE": provider.ca}
    words = python(code, folder, str(provider.shop), provider.leaf, provider.issuer)
    with running(words, provider.shop, folder, environ):
        return judged(
            folder,
            f"""[environments.t.services.shop]
url = "https://127.0.0.1:{provider.shop}"
public = true
tls = {{ ca = "{provider.ca}" }}
endpoints.account = {{ request = "GET /account", as = "ann", status = 200, allow = ["ann"] }}
[environments.t.auth]
kind = "oidc"
issuer = "{provider.issuer}"
tls = {{ ca = "{provider.ca}" }}
service = "shop"
login = "GET /login"
logout = "POST /logout"
cookie = "__Host-shop"
roles.ann = {{ user = "ann", password = {{ env = "PW" }} }}
""",
            ["smoke.auth.*", "smoke.api.endpoint", "security.cookies", "security.authentication.logout"],
            env={"PW": "right-one"},
        )


def test_a_service_that_sends_people_to_the_provider(provider: Provider, tmp_path: Path) -> None:
    """The session of the service is what opens it; Flask's lies in the cookie, so a logout ends nothing."""
    told = outcomes(by_service(provider, tmp_path, SERVICE.replace("BACK", "")))
    assert told.pop("security.authentication.logout ann") == "failed"
    assert set(told.values()) <= {"passed", "warned"}, told
    assert {"smoke.auth.login ann", "smoke.auth.session ann", "security.cookies shop"} <= set(told)


@pytest.mark.parametrize(
    ("back", "reason"),
    [
        ('session["guest"] = session.pop("user")', "gives no access"),
        ('return redirect("/login")', "more than 20 redirects: browsers stop here"),
    ],
)
def test_a_service_that_forgets_who_came_back(provider: Provider, tmp_path: Path, back: str, reason: str) -> None:
    """One that lets nobody in, and one that sends people round in circles."""
    found = by_service(provider, tmp_path, SERVICE.replace("BACK", back))["smoke.auth.login", "ann"]
    assert found["outcome"] == "failed", found
    assert reason in found["reason"]
