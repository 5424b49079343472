"""What tells an exposed thing from a page that says that there is nothing."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
import zipfile

import pytest

from pytest_prodcheck.evidence.web import exposure_signatures as signatures

ROW = '<tr><th>Rails version</th><td class="value">7.1</td></tr>'
SAMPLES: dict[str, list[str | bytes]] = {
    signatures.REPOSITORY: ["ref: refs/heads/main\n", "b" * 40 + "\n",
                         "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"],
    signatures.SUBVERSION: [b"SQLite format 3\x00\x10"],
    signatures.MERCURIAL: ["dotencode\nfncache\nrevlogv1\nstore\n"],
    signatures.ENVIRONMENT: ["APP_KEY=base64:abc\n", "# a\n\nexport DB_URL='x'\nPORT=1",
                           "\ufeffSECRET=1\r\nOTHER=2\r\n"],
    signatures.DUMP: ["--\n-- PostgreSQL database dump\n--\n", "-- MySQL dump 10.13\n", "CREATE TABLE `users` (\n",
                   "INSERT INTO users VALUES (1)", b"PGDMP\x01\x0e\x00",
                   "USE [shop]\nGO\nCREATE TABLE [dbo].[Users](\n"],
    signatures.DATABASE: [b"REDIS0011\xfa", b"SQLite format 3\x00", b"VALKEY080"],
    signatures.KEY: ["-----BEGIN RSA PRIVATE KEY-----\nMII", "-----BEGIN OPENSSH PRIVATE KEY-----\n",
                  "-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "PuTTY-User-Key-File-3: ssh-ed25519\n"],
    signatures.CREDENTIALS: ["[default]\naws_access_key_id = A\naws_secret_access_key = B\n",
                          "//registry.example/:_authToken=abc\n", "users:\n- name: a\n  user:\n    token: abc\n",
                          "//registry.example/:_auth=YTpi\n", "registry=https://registry.example/\n_auth=YTpi\n"],
    signatures.ACCESS: ["admin:$apr1$abc$def\n", "admin:{SHA}abc=\n",
                     "admin:rqXexS6ZhobKA\n", "admin:{SSHA}0c0blFTX\n", "admin:{PLAIN}secret\n", "a:$y$j9T$a$b\n",
                     "# of ours\nadmin:$apr1$abc$def\n"],
    signatures.SOURCE: ["<?php\ndefine('DB_PASSWORD', 'x');\n"],
    signatures.COMPOSE: ["version: '3'\nservices:\n  web:\n    image: nginx\n"],
    signatures.STATE: ['{"version": 4, "terraform_version": "1.5.0"}'],
    signatures.LISTED: [b"\x00\x00\x00\x01Bud1\x00"],
    signatures.LOG: ["2026-01-01 INFO started\n2026-01-01 ERROR failed\nmore\n",
                  "[30-Nov-2026 10:00:00 UTC] PHP Warning:  Undefined variable $x in /srv/a.php on line 3\n",
                  "[2026-11-30 10:00:00] production.ERROR: boom {\"exception\":\"[object]\n[stacktrace]\n"],
    signatures.ACTUATOR: ['{"activeProfiles":[],"propertySources":[]}',
                       '{"_links":{"self":{},"env":{"href":"https://a/actuator/env"}}}'],
    signatures.HTTPD: ["<h1>Apache Server Status for a (via 1.2.3.4)</h1>"],
    signatures.NGINX: ["Active connections: 2 \nserver accepts handled requests\n 1 1 1\n"],
    signatures.PHP: ["<title>PHP 8.2.1 - phpinfo()</title>", "<title>phpinfo()</title>"],
    signatures.PPROF: ["Types of profiles available:"],
    signatures.EXPVAR: ['{"cmdline":["a"],"memstats": {"Alloc":1}}'],
    signatures.WERKZEUG: ["<title>Console // Werkzeug Debugger</title>"],
    signatures.PROFILER: ["<title>Symfony Profiler</title>"],
    signatures.ELMAH: ["<title>Error log for /LM/W3SVC</title>"],
    signatures.H2: ["<title>H2 Console</title>"],
    signatures.TELESCOPE: ["<title>Telescope - Laravel</title>"],
    signatures.RAILS: [ROW],
    signatures.JOLOKIA: ['{"request":{"type":"list"},"value":{}}'],
    signatures.LISTING: ["<title>Index of /a</title>", "<title>Directory listing for /a/</title>",
                         "[To Parent Directory]",
                      "<ListBucketResult>", "<h1>Index of /a</h1>",
                      # Go of now and before, WEBrick, Tomcat since 9, Express, serve, Jetty, Rack
                      '<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n<a href="a">',
                      '<pre>\n<a href=".git/">.git/</a>\n', "<HTML>\n  <HEAD>\n    <TITLE>Index of /static/</TITLE>",
                      "<title>Directory Listing For [/static/] - Up To [/]</title>",
                      "<title>listing directory /static/</title>", "<title>Files within static/</title>",
                      "<title>Directory: &#47;static&#47;</title>",
                      "<tr>\n<th class='name'>Name</th>\n<th class='size'>Size</th>"],
}  # fmt: skip


def shown(content: str | bytes) -> tuple[str, ...]:
    return signatures.signs(content.decode("utf-8", "replace") if isinstance(content, bytes) else content)


@pytest.mark.parametrize("what", SAMPLES)
def test_contents_are_known(what: str) -> None:
    for sample in SAMPLES[what]:
        assert what in shown(sample), sample


def test_archives_are_known() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", "b")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as plain:
        plain.addfile(tarfile.TarInfo("a"))
    for content in (packed.getvalue(), gzip.compress(b"a"), tar.getvalue()):
        assert signatures.ARCHIVE in shown(content)


def test_every_address_has_a_content_and_every_content_an_address() -> None:
    wanted = {*signatures.FILES.values(), *signatures.DEBUG.values(), signatures.LISTING}
    assert wanted == set(signatures._SIGNS)
    assert wanted <= {*SAMPLES, signatures.ARCHIVE}
    assert len(signatures.FILES) + len(signatures.DEBUG) + len(signatures.FOLDERS) <= 51


@pytest.mark.parametrize(
    "page",
    [
        "",
        "Not Found",
        "<!doctype html><title>Shop</title><div id=app></div><script>window.ENV = {API_KEY: 'x'}</script>",
        "<!doctype html><title>404</title>The file /.env (or /.git/HEAD, /phpinfo.php, /backup.zip) is not here.",
        '{"error": "not found", "path": "/actuator/env"}',
        '{"status": "UP", "_links": {"self": {"href": "https://a/actuator/health"}}}',
        "<p>Index of our terms</p><a href=/>Back</a>",
        "User-agent: *\nDisallow: /admin\n",
        "name: value\nother: value\n",
        "<html>\nAPP_ENV=production\n</html>",
        '{"openapi": "3.1.0", "info": {"title": "Shop"}}',
        "# HELP http_requests_total Requests.\nhttp_requests_total 3\n",
        "Contact: mailto:security@shop.example\nExpires: 2027-01-01T00:00:00Z\n",
        "An INSERT INTO statement, a CREATE TABLE statement: a tutorial",
        "<pre>\nAn example: <a href=/>Back</a></pre>",
        "title:introduction1 and more\n", "[2026-11-30 10:00:00] the shop opens\n", "<title>Index of prices</title>",
        "<p>INFO desk</p>\n<p>ERROR page</p>\n",
    ],
)
def test_ordinary_pages_show_nothing(page: str) -> None:
    assert shown(page) == ()


def test_hostile_text_is_searched_in_bounded_time() -> None:
    began = time.process_time()
    for piece in ("A=1\n", "\n", " \n", "[core]\n", '"_links": ', "services:\n", "#\n", "token: "):
        signatures.signs(piece * (20_000 // len(piece)))
    assert time.process_time() - began < 10
