"""A Java container's own login: Tomcat's FORM authentication (Jakarta Servlet 6, 13.6.3), whose page comes by 200."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.field.web.support import Results, free_port, judged, outcomes, program, running

TOMCAT = """import jakarta.servlet.http.*;
import java.io.IOException;
import java.security.Principal;
import java.util.List;
import org.apache.catalina.Context;
import org.apache.catalina.authenticator.FormAuthenticator;
import org.apache.catalina.realm.GenericPrincipal;
import org.apache.catalina.realm.RealmBase;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.descriptor.web.*;

public class Server {
    static class Users extends RealmBase {
        protected String getPassword(String name) {
            return List.of("ann", "admin").contains(name) ? "right-one" : null;
        }
        protected Principal getPrincipal(String name) {
            return new GenericPrincipal(name, name.equals("admin") ? List.of("user", "admin") : List.of("user"));
        }
    }
    static void guard(Context context, String path, String role) {
        SecurityCollection where = new SecurityCollection();
        where.addPattern(path);
        SecurityConstraint made = new SecurityConstraint();
        made.addCollection(where);
        made.addAuthRole(role);
        made.setAuthConstraint(true);
        context.addConstraint(made);
    }
    static void say(Context context, String path, String type, String text) {
        Tomcat.addServlet(context, path, new HttpServlet() {
            protected void service(HttpServletRequest request, HttpServletResponse answer) throws IOException {
                if (path.equals("/logout")) {
                    request.getSession().invalidate();
                    answer.sendRedirect("/login");
                    return;
                }
                answer.setContentType(type);
                answer.getWriter().write(text);
            }
        });
        context.addServletMappingDecoded(path, path);
    }
    public static void main(String[] words) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(".");
        tomcat.setPort(Integer.parseInt(words[0]));
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        Context context = tomcat.addContext("", new java.io.File(".").getAbsolutePath());
        context.setRealm(new Users());
        for (String role : List.of("user", "admin")) context.addSecurityRole(role);
        guard(context, "/account", "user");
        guard(context, "/report", "admin");
        guard(context, "/price", "admin");
        context.setLoginConfig(new LoginConfig("FORM", null, "/login", "/again"));
        context.getPipeline().addValve(new FormAuthenticator());
        String form = "<form method=post action=j_security_check><input name=j_username>"
            + "<input type=password name=j_password></form>";
        say(context, "/login", "text/html", form);
        say(context, "/again", "text/html", "wrong" + form);
        say(context, "/box", "text/html", "your orders " + form);
        for (String path : List.of("/account", "/report", "/price", "/open")) {
            say(context, path, "application/json", "{}");
        }
        say(context, "/logout", "text/html", "");
        tomcat.start();
        tomcat.getServer().await();
    }
}
"""
JARS = ("/usr/share/java/tomcat10-embed-core.jar",)
LOGIN = '''login_form = "/account"
login_page = ["/login", "/sign-in"]'''
ENDPOINTS = """account = { request = "GET /account", as = "ann", status = 200, allow = ["ann", "admin"] }
report = { request = "GET /report", as = "admin", status = 200, allow = ["admin"] }
price = { request = "POST /price", as = "admin", json = {}, status = 200, allow = ["admin"], control = "report" }
"""


@pytest.fixture(scope="module")
def tomcat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if not all(Path(each).exists() for each in JARS):
        pytest.skip("no Tomcat; install: apt-get install libtomcat10-embed-java")
    folder, port = tmp_path_factory.mktemp("tomcat"), free_port()
    (folder / "Server.java").write_text(TOMCAT, encoding="utf-8")
    words = [program("java"), "-XX:TieredStopAtLevel=1", "-cp", ":".join(JARS), "Server.java", str(port)]
    with running(words, port, folder):
        yield port


def shop(port: int, folder: Path, endpoints: str = ENDPOINTS, password: str = "right-one") -> Results:
    return judged(
        folder,
        f"""[environments.t.services.shop]
url = "http://127.0.0.1:{port}"
[environments.t.services.shop.endpoints]
{endpoints}[environments.t.auth]
kind = "form"
service = "shop"
login = "POST /j_security_check"
{LOGIN}
logout = "POST /logout"
logout_revokes = true
cookie = "JSESSIONID"
fields = {{ user = "j_username", password = "j_password" }}
wrong_password = {{ user = "ann" }}
roles.ann = {{ user = "ann", password = {{ env = "PW" }} }}
roles.admin = {{ user = "admin", password = {{ env = "PW" }} }}
""",
        ["smoke.auth.*", "smoke.api.endpoint", "security.authorization.roles", "security.authentication.logout"],
        env={"PW": password},
    )


def test_the_login_of_a_container(tomcat: int, tmp_path: Path) -> None:
    """It shows its page in place of what was asked for, by 200; HEAD is answered with a body."""
    found = shop(tomcat, tmp_path)
    assert set(outcomes(found).values()) == {"passed"}, found
    assert len(found) == 16


def test_a_wrong_password_opens_nothing(tomcat: int, tmp_path: Path) -> None:
    """The page that is shown again is no session, whatever its status."""
    found = shop(tomcat, tmp_path, password="wrong-one")["smoke.auth.login", "ann"]
    assert found["outcome"] == "failed"
    assert "gives no access" in found["reason"]


def test_what_is_open_beside_the_login(tomcat: int, tmp_path: Path) -> None:
    """An endpoint that anybody may use fails; of a page with a login box on it nobody can tell."""
    more = """open = { request = "GET /open", as = "admin", status = 200, allow = ["admin"] }
box = { request = "GET /box", as = "admin", status = 200, allow = ["admin"] }
"""
    told = outcomes(shop(tomcat, tmp_path, ENDPOINTS + more))
    assert told["security.authorization.roles shop.open"] == told["smoke.auth.required shop.open"] == "failed"
    assert told["security.authorization.roles shop.box"] == "errored"
    assert told["smoke.auth.required shop.box"] in ("errored", "failed")
