"""What lies open beside the shop's pages: files, debug pages, listings, TRACE, traces; and pages that only look so."""

from __future__ import annotations

import gzip
import html
import json
from collections.abc import Callable

from pytest_prodcheck.demo.shop.application import Shop
from pytest_prodcheck.demo.shop.changes import NO_ROUTE, Changes, Healthy
from pytest_prodcheck.demo.shop.http_server import Request, Response, json_response, text_response
from pytest_prodcheck.demo.shop.pages import HOME

CHANGES = Changes()
changes = CHANGES.changes
Content = str | bytes


def exposes_paths(fault: str, contents: dict[str, Content], kind: str = "application/octet-stream") -> None:
    """Registers a fault by which these paths are there."""

    @changes(fault, NO_ROUTE)
    def wrapper(shop: Shop, request: Request, healthy: Healthy) -> Response:
        content = contents.get(request.path)
        if content is None or request.method != "GET":
            return healthy()
        return Response(200, content.encode() if isinstance(content, str) else content, {"Content-Type": kind})


GIT = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
DUMP = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.users (\n    id integer,\n    email text\n);\n"
exposes_paths("git-open", {"/.git/HEAD": "ref: refs/heads/main\n", "/.git/config": GIT})
exposes_paths("env-open", {"/.env": "# production\nAPP_ENV=production\nDB_PASSWORD=demo-nothing-real\n"})
exposes_paths("dump-open", {"/dump.sql": DUMP})
exposes_paths("backup-open", {"/backup.tar.gz": gzip.compress(b"demo " * 50)})
SOURCES = {"activeProfiles": [], "propertySources": [{"name": "systemProperties", "properties": {}}]}
exposes_paths("actuator-open", {"/actuator/env": json.dumps(SOURCES)}, "application/vnd.spring-boot.actuator.v3+json")
PHPINFO = '<html><head><title>PHP 8.1.2 - phpinfo()</title></head><body><h1 class="p">PHP Version 8.1.2</h1>'
exposes_paths("phpinfo-open", {"/phpinfo.php": PHPINFO}, "text/html")
PPROF = "<html><head><title>/debug/pprof/</title></head><body>Types of profiles available:"
exposes_paths("pprof-open", {"/debug/pprof/": PPROF}, "text/html")
STATUS = "<html><head><title>Apache Status</title></head><body><h1>Apache Server Status for shop.demo.test</h1>"
exposes_paths("server-status-open", {"/server-status": STATUS}, "text/html")
LISTED = "<html><head><title>Index of {0}</title></head><body><h1>Index of {0}</h1><a href='../'>../</a>"
exposes_paths("listing-of-uploads", {"/uploads/": LISTED.format("/uploads/")}, "text/html")
exposes_paths(
    "listing-of-a-bucket", {"/files/": '<?xml version="1.0"?><ListBucketResult><Name>shop</Name>'}, "application/xml"
)


@changes("listing-of-assets", "GET /", NO_ROUTE)
def _assets(shop: Shop, request: Request, healthy: Healthy) -> Response:
    """The front page loads from a folder that is listed."""
    if request.path == "/theme-7/":
        return text_response(200, LISTED.format("/theme-7/"), "text/html")
    response = healthy()
    response.body = response.body.replace(b"</head>", b'<link rel="icon" href="/theme-7/icon.svg"></head>')
    return response


@changes("trace-answered", NO_ROUTE)
def _trace(shop: Shop, request: Request, healthy: Healthy) -> Response:
    if request.method != "TRACE":
        return healthy()
    lines = [f"TRACE {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    return Response(200, "\r\n".join(lines).encode(), {"Content-Type": "message/http"})


@changes("trace-as-html", NO_ROUTE)
def _trace_page(shop: Shop, request: Request, healthy: Healthy) -> Response:
    """A debug page that shows every header, whatever the status."""
    if request.method != "TRACE":
        return healthy()
    shown = "".join(f"<li>{html.escape(f'{name}: {value}')}" for name, value in request.headers.items())
    return text_response(405, f"<!doctype html><title>Not allowed</title><ul>{shown}</ul>", "text/html")


@changes("webdav-offered", NO_ROUTE)
def _webdav(shop: Shop, request: Request, healthy: Healthy) -> Response:
    response = healthy()
    if request.method == "OPTIONS":
        response = Response(200, b"", {"Allow": "GET,HEAD,OPTIONS,PROPFIND,MKCOL,COPY,MOVE", "DAV": "1, 2"})
    return response


PYTHON = """Traceback (most recent call last):
  File "/srv/shop/app.py", line 41, in dispatch
    return handlers[path](request)
KeyError: '/nothing'
"""
JAVA = (
    "java.lang.NumberFormatException: For input string\n"
    "\tat java.base/java.lang.NumberFormatException.forInputString(NumberFormatException.java:67)\n"
    "\tat com.shop.web.PageController.list(PageController.java:112)\n"
)
NODE = (
    "SyntaxError: Unexpected end of JSON input\n    at JSON.parse (<anonymous>)\n"
    "    at parse (/app/node_modules/body-parser/lib/types/json.js:92:19)\n"
)


def leaks_text(
    fault: str, route: str, when: Callable[[Request, Response], bool], status: int, text: str, kind: str
) -> None:
    """Registers a fault by which some answers tell of the shop's inside."""

    @changes(fault, route)
    def wrapper(shop: Shop, request: Request, healthy: Healthy) -> Response:
        response = healthy()
        if not when(request, response):
            return response
        if kind == "application/problem+json":
            return json_response(status, {"title": "Error", "status": status, "trace": text}, kind)
        return text_response(status, text, kind)


PLAIN, PAGE, PROBLEM = "text/plain", "text/html", "application/problem+json"
leaks_text("trace-404-python", NO_ROUTE, lambda asked, said: said.status == 404, 404, PYTHON, PLAIN)
leaks_text("trace-500-java", "GET /", lambda asked, said: "%FF" in asked.query, 500, JAVA, PROBLEM)
leaks_text("trace-400-node", "POST /quotes", lambda asked, said: said.status == 400, 400, NODE, PLAIN)
leaks_text(
    "trace-401-token",
    "GET /account",
    lambda asked, said: asked.headers.get("authorization") == "Bearer .",
    500,
    PYTHON,
    PROBLEM,
)


@changes("soft-404", NO_ROUTE)
def _soft_404(shop: Shop, request: Request, healthy: Healthy) -> Response:
    """Benign: what is not there is said with status 200, and the path is repeated."""
    if request.method != "GET":
        return healthy()
    path = html.escape(request.path)
    page = f"<p>There is nothing at {path}, not even an index of {path}."
    return text_response(200, f"<!doctype html><title>Not found</title><h1>Sorry</h1>{page}", "text/html")


@changes("catch-all", NO_ROUTE)
def _catch_all(shop: Shop, request: Request, healthy: Healthy) -> Response:
    """Benign: a single-page application gives its front page for every path."""
    return text_response(200, HOME, "text/html") if request.method == "GET" else healthy()


@changes("catch-all-listing", NO_ROUTE)
def _catch_all_listing(shop: Shop, request: Request, healthy: Healthy) -> Response:
    """Benign: the page for what is not there looks like a listing, whatever was asked for."""
    return text_response(200, LISTED.format("/"), "text/html") if request.method == "GET" else healthy()


@changes("dotfiles-forbidden", NO_ROUTE)
def _forbidden(shop: Shop, request: Request, healthy: Healthy) -> Response:
    """Benign: hidden files are refused with 403, the rest with 404."""
    response = healthy()
    response.status = 403 if "/." in request.path else response.status
    return response
