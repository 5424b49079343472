"""What tells a stack trace from an ordinary error page."""

from __future__ import annotations

import time

import pytest

from pytest_prodcheck.evidence.web import stack_traces

TRACES = {
    "a Python traceback": 'Traceback (most recent call last):\\n  File \\"/a.py\\", line 1',
    "Django's debug page": "<p>because you have <code>DEBUG = True</code> in your",
    "Werkzeug's debugger": "<title>KeyError // Werkzeug Debugger</title>",
    "a Java stack trace": "\tat org.apache.catalina.core.Foo.doFilter(Foo.java:166)",
    "a .NET stack trace": "   at Shop.Web.Home.Index() in C:\\src\\Home.cs:line 12",
    "ASP.NET's error page": "[NullReferenceException: Object reference not set]",
    "a PHP error": "<b>Fatal error</b>:  Uncaught Error: x in <b>/var/www/a.php</b> on line <b>3</b>",
    "a JavaScript stack trace": "    at Object.&lt;anonymous&gt; (/srv/app/index.js:10:15)",
    "a Ruby backtrace": "app/controllers/a.rb:5:in `show'",
    "a Go panic": "goroutine 1 [running]:\nmain.main()",
    "a Rust panic": "thread 'main' panicked at src/main.rs:2:5:",
    "an SQL error": "SQLSTATE[42P01]: Undefined table",
}


@pytest.mark.parametrize("name", TRACES)
def test_traces_are_found(name: str) -> None:
    assert name in stack_traces.leaks_in(TRACES[name])


@pytest.mark.parametrize(
    "body",
    [
        "<h1>404 Not Found</h1><p>The page /a.php was not found on this server.",
        '{"title": "Bad Request", "status": 400, "detail": "Unexpected end of input at line 1 column 4"}',
        "Warning: this sale ends today in Berlin.",
        "Error: please meet us at (10:30) on line 3 of the underground",
        "https://shop.example/app.js:443",
        "Whitelabel Error Page. This application has no explicit mapping for /error",
        "Notice: cookies are used",
    ],
)
def test_plain_errors_are_no_traces(body: str) -> None:
    assert stack_traces.leaks_in(body) == ()


def test_hostile_text_is_searched_in_bounded_time() -> None:
    began = time.process_time()
    for piece in ("at a", "Warning: in ", '"', "at a.b.c(", "File \"", "\\\\\\", "<meta ", "a, ", "a.", "java.", "at "):
        text = piece * (150_000 // len(piece))
        stack_traces.leaks_in(text)
    assert time.process_time() - began < 20


def test_the_whole_answer_is_looked_at() -> None:
    """Django's debug page is longer than 128 KB where a template is."""
    page = "<p>" * 100_000 + "goroutine 17 [running]:"
    assert stack_traces.leaks_in(page) == ("a Go panic",)
