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


# as the frameworks of public reports write them (tests/field/README.md)
REPORTED = {
    ".NET without symbols": "   at Shop.Controllers.Orders.Get(Int32 id)\n   at lambda_method5(Closure , Object )",
    ".NET as JSON": '{"stackTrace": "   at Shop.Api.\\u003CGet\\u003Ed__3.MoveNext()\\r\\n   at Shop.Api.Run(String)"}',
    "Java modules": "\tat java.base/java.lang.Integer.parseInt(Integer.java:652)",
    "Tomcat": "<pre>java.lang.NullPointerException\n\tcom.shop.A.doGet(A.java:12)\n</pre>",
    "Clojure": "\tat ring.middleware.params$wrap_params$fn__1.invoke(params.clj:75)",
    "Phoenix": "        (shop 0.1.0) lib/shop_web/controllers/page_controller.ex:6: ShopWeb.PageController.home/2",
    "Erlang": '{error,{badmatch,x},[{shop,handle,2,[{file,"src/shop.erl"},{line,33}]}]}',
    "OpenResty": "stack traceback:\n\t[C]: in function 'xpcall'",
    "Perl": "Can't locate Shop/Order.pm in @INC at /srv/shop/lib/Shop.pm line 42.",
    "Gin": "/usr/local/go/src/runtime/panic.go:260 (0x44e3d5)\n/app/main.go:12 (0x7a)",
    "Go, pkg/errors": "boom\nmain.handler\n\t/app/main.go:12",
    "Haskell": "CallStack (from HasCallStack):\n  error, called at app/Main.hs:12:5 in main:Main",
    "Directus": r'''{"code":3,"trace":[{"file":"\/var\/www\/api\/src\/endpoints\/Home.php","line":15}]}''',
    "Laravel": '{"message": "x", "trace": [{"file": "/app/vendor/a.php", "line": 54, "function": "x"}]}',
    "PHP, as logged": "PHP Fatal error:  Uncaught Error: x in /srv/a.php:12\nStack trace:\n#0 {main}",
    "Next.js": "at eval (webpack-internal:///./pages/index.js:10:11)",
    "PostgreSQL": '{"error":"duplicate key value violates unique constraint \\"users_email_key\\""}',
    "MongoDB": "E11000 duplicate key error collection: shop.users index: email_1",
    "Prisma": "Invalid `prisma.user.create()` invocation:",
}


@pytest.mark.parametrize("body", REPORTED.values(), ids=REPORTED)
def test_what_frameworks_of_reports_write_is_found(body: str) -> None:
    assert stack_traces.leaks_in(body)


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
        "Please look at Shop.Berlin (opposite the station)\nat noon",
        "We are at Home.Sweet.Home(Berlin) today",
        '{"trace": [], "file": "report.php"}',
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
