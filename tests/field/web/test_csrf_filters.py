"""CSRF filters and the logins behind them, each with an endpoint that is guarded and one that anybody may POST to.

Real: Rails (ActionController's own protection, per form tokens, Origin looked at), Spring Security (the cookie that
scripts read, deferred until a page asks for it) and Laravel (XSRF-TOKEN is encrypted, urlencoded in its cookie, and
decoded in the header; a mismatch is 419). ASP.NET is reproduced as its documentation has it, for its runtime is in no
registry that tests may use: the token of the hidden field belongs to a cookie of its own, is carried by the header
RequestVerificationToken, and a mismatch is 400.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.evidence.http.servers import Answer, Seen, web
from tests.field.web.support import Results, free_port, judged, outcomes, program, running
from tests.soak import SOAK

Filtered = tuple[int, str, str]
HERE, PHP = Path(__file__).parent / "spring", Path(__file__).parent / "laravel"
LIBRARIES = Path("~/.cache/pytest-prodcheck/spring-boot-3.3").expanduser()
RAILS = """
require "action_controller/railtie"
class Shop < Rails::Application
  config.secret_key_base = "0123456789abcdef" * 4
  config.eager_load = false
  config.logger = Logger.new($stderr)
  config.log_level = :warn
  config.hosts.clear
  config.session_store :cookie_store, key: "_shop", same_site: :lax
  config.action_controller.forgery_protection_origin_check = true
  config.action_controller.per_form_csrf_tokens = true
end
class PagesController < ActionController::Base
  protect_from_forgery with: :exception
  def form = render(inline: "<%= csrf_meta_tags %><%= form_with(url: '/login', local: true) do |f| %>" \\
    "<%= f.text_field :username %><%= f.password_field :password %><%= f.submit 'Log in' %><% end %>")
  def login
    return render(plain: "no", status: 401) unless params[:password] == "right-one"
    reset_session
    session[:user] = params[:username]
    redirect_to "/account"
  end
  def logout
    reset_session
    redirect_to "/login"
  end
  def account = session[:user] ? render(json: {}) : redirect_to("/login")
  def report = session[:user] == "admin" ? render(json: {}) : head(403)
  def price = session[:user] == "admin" ? render(json: {}) : head(403)
  def free = render(json: {})
end
Shop.initialize!
Shop.routes.draw do
  get "/login" => "pages#form"
  %w[account report].each { |name| get "/#{name}" => "pages##{name}" }
  %w[login logout price free].each { |name| post "/#{name}" => "pages##{name}" }
end
Rack::Server.start(app: Shop, Port: ARGV[0].to_i, Host: "127.0.0.1", environment: "production", server: "webrick")
"""


class Shop:
    """A framework whose filter looks for a token that belongs to a cookie of its own, in a field or in a header."""

    def __init__(self, header: str, field: str, refusal: int, own_cookie: str) -> None:
        self.header, self.field, self.refusal, self.own_cookie = header, field, refusal, own_cookie
        self.users: dict[str, str] = {}
        self.tokens: dict[str, str] = {}

    def __call__(self, seen: Seen) -> Answer:
        cookies = dict(each.split("=", 1) for each in seen.headers.get("Cookie", "").split("; ") if "=" in each)
        name = self.own_cookie
        partner, set_cookies = cookies.get(name, ""), []
        if partner not in self.tokens:
            partner = secrets.token_hex(8)
            self.tokens[partner] = f"{secrets.token_urlsafe(12)}+/="
            set_cookies.append(f"{name}={partner}; Path=/; HttpOnly; SameSite=Lax")
        token = self.tokens[partner]
        status, fields, body = self.answer(seen, cookies, token, set_cookies)
        names = ("Set-Cookie", "set-cookie", "SET-COOKIE")  # fields of one name, which a mapping holds once
        return status, {**fields, **dict(zip(names, set_cookies, strict=False))}, body

    def answer(self, seen: Seen, cookies: dict[str, str], token: str, cookies_set: list[str]) -> Answer:
        form = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
        path, user = seen.path.partition("?")[0], self.users.get(cookies.get("sid", ""), "")
        if seen.method == "POST" and token not in (seen.headers.get(self.header), form.get(self.field)):
            return self.refusal, {}, b""
        if path == "/login" and seen.method == "GET":
            return 200, {"Content-Type": "text/html"}, (
                f"<meta name='csrf-token' content='{token}'><form method=post action=/login>"
                f"<input type=hidden name={self.field} value='{token}'><input name=username>"
                "<input type=password name=password></form>"
            ).encode()  # fmt: skip
        if path == "/login":
            if form.get("password") != "right-one":
                return 302, {"Location": "/login"}, b""
            session = secrets.token_hex(8)
            self.users[session], self.tokens[session] = form["username"], f"{secrets.token_urlsafe(12)}+/="
            cookies_set.append(f"sid={session}; Path=/; HttpOnly; SameSite=Lax")
            return 302, {"Location": "/account"}, b""
        if path == "/logout":
            self.users.pop(cookies.get("sid", ""), None)
            return 302, {"Location": "/login"}, b""
        if path == "/account" and not user:
            return 302, {"Location": "/login"}, b""
        good = path in ("/free", "/account") or user == "admin"
        return (200, {"Content-Type": "application/json"}, b"{}") if good else (403, {}, b"")


def aspnet() -> Shop:
    return Shop("RequestVerificationToken", "__RequestVerificationToken", 400, ".AspNetCore.Antiforgery.x")


def shop(port: int, folder: Path, cookie: str, csrf: str) -> Results:
    return judged(
        folder,
        f"""[environments.t.services.shop]
url = "http://127.0.0.1:{port}"
timeout = "30s"
[environments.t.services.shop.endpoints]
account = {{ request = "GET /account", as = "ann", status = 200, allow = ["ann", "admin"] }}
report = {{ request = "GET /report", as = "admin", status = 200, allow = ["admin"] }}
price = {{ request = "POST /price", as = "admin", json = {{}}, status = 200, allow = ["admin"], control = "report" }}
free = {{ request = "POST /free", as = "admin", json = {{}}, status = 200, allow = ["admin"], control = "report" }}
[environments.t.auth]
kind = "form"
service = "shop"
login_form = "/login"
login = "POST /login"
logout = "POST /logout"
cookie = "{cookie}"
{csrf}
wrong_password = {{ user = "ann" }}
roles.ann = {{ user = "ann", password = {{ env = "PW" }} }}
roles.admin = {{ user = "admin", password = {{ env = "PW" }} }}
""",
        ["smoke.auth.*", "smoke.api.endpoint", "security.authorization.roles"],
        env={"PW": "right-one"},
    )


def rails(folder: Path) -> tuple[int, AbstractContextManager[Any]]:
    if shutil.which("ruby") is None or not list(Path("/usr/share/rubygems-integration").glob("**/railties-*.gemspec")):
        pytest.skip("no Rails; install: apt-get install ruby-rails")
    (folder / "shop.rb").write_text(RAILS, encoding="utf-8")
    port = free_port()
    return port, running([program("ruby"), "shop.rb", str(port)], port, folder)


def laravel(folder: Path) -> tuple[int, AbstractContextManager[Any]]:
    if shutil.which("php") is None or not Path("/usr/share/php/Illuminate/Foundation").is_dir():
        pytest.skip("no Laravel; install: apt-get install php-cli php-laravel-framework")
    for name in ("sessions", "views"):
        (folder / "storage" / "framework" / name).mkdir(parents=True)
    (folder / "bootstrap" / "cache").mkdir(parents=True)
    shutil.copy(PHP / "shop.php", folder)
    shutil.copy(PHP / "config.php", folder / "bootstrap" / "cache")
    port = free_port()
    return port, running([program("php"), "-S", f"127.0.0.1:{port}", "shop.php"], port, folder)


def spring(folder: Path) -> tuple[int, AbstractContextManager[Any]]:
    if not SOAK:
        pytest.skip("Spring takes a minute here: make soak")
    if not (shutil.which("javac") and shutil.which("mvn")):
        pytest.skip("Spring runs in Java; install: apt-get install default-jdk-headless maven")
    if not list(LIBRARIES.glob("spring-security-web-*.jar")):
        command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
        done = subprocess.run([*command, f"-DoutputDirectory={LIBRARIES}"], capture_output=True, timeout=300)
        if done.returncode:
            pytest.skip("Maven cannot get Spring here: mvn dependency:copy-dependencies failed")
    compiler = ["javac", "-proc:none", "-parameters", "-d", str(folder), "-cp", f"{LIBRARIES}/*"]
    subprocess.run([*compiler, str(HERE / "Shop.java")], check=True, timeout=120)
    port = free_port()
    words = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}:{LIBRARIES}/*", "shop.Shop", str(port)]
    return port, running(words, port, folder, seconds=90)


REAL: dict[str, tuple[Callable[[Path], tuple[int, AbstractContextManager[Any]]], str, str]] = {
    "rails": (rails, "_shop", 'csrf = { header = "X-CSRF-Token", page = "/login", meta = "csrf-token" }'),
    "laravel": (laravel, "laravel_session", 'csrf = { header = "X-XSRF-TOKEN", cookie = "XSRF-TOKEN" }'),
    "spring": (
        spring, "JSESSIONID", 'csrf = { header = "X-XSRF-TOKEN", cookie = "XSRF-TOKEN", page = "/account" }',
    ),
}  # fmt: skip
REPRODUCED = {
    "aspnet": (
        aspnet, 'csrf = { header = "RequestVerificationToken", page = "/login", field = "__RequestVerificationToken" }',
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=[*REAL, *REPRODUCED])
def filtered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filtered]:
    """Port, session cookie and how the token is declared."""
    if request.param in REPRODUCED:
        make, csrf = REPRODUCED[request.param]
        with web(make()) as server:
            yield server.port, "sid", csrf
        return
    start, cookie, csrf = REAL[request.param]
    port, server_running = start(tmp_path_factory.mktemp(request.param))
    with server_running:
        yield port, cookie, csrf


def test_what_stands_behind_a_csrf_filter(filtered: Filtered, tmp_path: Path) -> None:
    """All that is right passes; what anybody may POST to fails, for the visitor gets past the filter, too."""
    port, cookie, csrf = filtered
    found = shop(port, tmp_path, cookie, csrf)
    told = outcomes(found)
    for check in ("security.authorization.roles", "smoke.auth.required"):
        assert told.pop(f"{check} shop.free") == "failed", found
    assert set(told.values()) == {"passed"}, found


def test_a_filter_that_nobody_declared(filtered: Filtered, tmp_path: Path) -> None:
    """Its refusals say nothing of roles."""
    port, cookie, _ = filtered
    found = shop(port, tmp_path, cookie, "")["security.authorization.roles", "shop.free"]
    assert found["outcome"] == "errored", found
    assert "perhaps by a CSRF filter" in found["reason"]
