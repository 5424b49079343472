"""Sessions of real PHP, with and without `session_regenerate_id`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.field.web.support import free_port, judged, program, running

PHP = """<?php
session_start();
$path = parse_url($_SERVER["REQUEST_URI"], PHP_URL_PATH);
if ($path === "/login" && $_SERVER["REQUEST_METHOD"] === "POST") {
    if ($_POST["password"] !== "right-one") { http_response_code(401); exit; }
    if (getenv("REGENERATES")) session_regenerate_id(true);
    $_SESSION["user"] = $_POST["user"];
    header("Location: /account", true, 303);
} elseif ($path === "/login") {
    echo '<form method="post"><input name="user"><input type="password" name="password"></form>';
} elseif ($path === "/logout") {
    session_destroy();
} else {
    if (!isset($_SESSION["user"])) http_response_code(401);
    echo "account";
}
"""


@pytest.mark.parametrize(("regenerates", "outcome"), [("", "failed"), ("1", "passed")])
def test_a_login_that_keeps_the_visitors_session(regenerates: str, outcome: str, tmp_path: Path) -> None:
    """Icinga/icingaweb2#515, ZENLIX/hd.rustem#3, yiisoft/user#124; OWASP, "Session Fixation"."""
    port = free_port()
    (tmp_path / "shop.php").write_text(PHP)
    (tmp_path / "password").write_text("right-one")
    words = [program("php"), "-d", f"session.save_path={tmp_path}", "-S", f"127.0.0.1:{port}", "shop.php"]
    with running(words, port, tmp_path, {"REGENERATES": regenerates}):
        found = judged(
            tmp_path,
            f"""[environments.t.services.shop]
url = "http://127.0.0.1:{port}"
endpoints.account = {{ request = "GET /account", allow = ["ann"] }}
[environments.t.auth]
kind = "form"
service = "shop"
login = "POST /login"
login_form = "/login"
logout = "GET /logout"
cookie = "PHPSESSID"
roles.ann = {{ user = "ann", password = {{ file = "{tmp_path / "password"}" }} }}
""",
            ["security.authentication.logout"],
        )
    result = found["security.authentication.logout", "ann"]
    assert result["outcome"] == outcome, result
    assert outcome == "passed" or "session fixation" in result["reason"]
