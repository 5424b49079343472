"""Stack traces and debug pages in answers, by how each language and framework writes them."""

from __future__ import annotations

import re

SIGNS = {
    "a Python traceback": r"Traceback \(most recent call last\)",
    "a Python stack frame": r'File "[^"\n]{1,300}\.pyx?", line [0-9]+',
    "Werkzeug's debugger": r"Werkzeug (?:powered traceback interpreter|Debugger)|__debugger__=yes",
    "Django's debug page": r"because you have <code>DEBUG = True</code>|<th>Django Version:</th>",
    "a Java stack trace": r"\bat (?:[\w.@-]{0,80}/){0,2}(?:[\w$]{1,80}\.){1,20}[\w$<>]{1,80}\("
    r"(?:[\w$]+\.(?:java|kt|scala|groovy|clj[cs]?):[0-9]+|Native Method|Unknown Source)\)"
    r"|\.[\w$<>]{1,80}\([\w$]{1,80}\.java:[0-9]+\)",
    "a Java exception": r"\b(?:java|javax|jakarta|org\.(?:springframework|apache|hibernate))\."
    r"(?:\w{1,60}\.){1,12}\w{0,60}?"
    r"(?:Exception|Error)\b: ",
    "a .NET stack trace": r"\bat (?:[\w`]{1,80}\.){1,20}[\w`<>]{1,80}\([^)\n]{0,200}\) in [^\n]{1,300}:line [0-9]+"
    r"|\bat (?:[\w`<>]{1,80}\.){2,20}[\w`<>]{1,80}\([^()\n]{0,200}\)\s{1,9}at [\w`<>]{1,80}[.(]",
    "ASP.NET's error page": r"\[(?:Http|NullReference|Argument|InvalidOperation|Sql)\w*Exception|"
    r"<b> ?Source File: ?</b>|Version Information:(?:</b>)?\s*(?:&nbsp;)?Microsoft \.NET",
    "a PHP error": r"(?:Fatal error|Parse error|Warning|Notice|Deprecated)(?:</b>)?:\s.{1,400}? in (?:<b>)?[/\w][^\n<]"
    r"{1,200}\.php(?:</b>)? on line (?:<b>)?[0-9]+",
    "a PHP stack trace": r"#[0-9]+ /[^\n]{1,200}\.php\([0-9]+\): |class='xdebug-error|\bUncaught [\w\\]{1,100}: "
    r".{0,400}? in /[^\s:]{1,200}\.php:[0-9]+"
    r"|\"trace\":\s{0,9}\[\s{0,9}\{[^{}]{0,400}\"file\":\s?\"[^\"\n]{1,300}\.php\"",
    "a JavaScript stack trace": r"\bat (?:[\w$.<>\[\] ]{1,200} )?\(?(?:file://|webpack-internal://)?(?:/|[A-Z]:\\|node:)[^\s():]{1,300}"
    r"(?:\.[cm]?[jt]sx?)?:[0-9]+:[0-9]+\)?",
    "a Ruby backtrace": r"\w\.rb:[0-9]+:in [`']",
    "Rails' error page": r"Action Controller: Exception caught|Rails\.root: /",
    "a Go panic": r"goroutine [0-9]+ \[running\]:"
    r"|\n\t/[^\s:]{1,300}\.go:[0-9]+|/[^\s:/]{1,100}\.go:[0-9]+ \(0x[0-9a-f]+\)",
    "an Elixir stack trace": r"\([a-z_]{1,60} [0-9][\w.+-]{0,40}\) (?:lib|src|deps)/[^\s:]{1,200}\.(?:exs?|erl):[0-9]+",
    "an Erlang stack trace": r'\{file,"[^"\n]{1,200}\.erl"\},\{line,[0-9]+\}',
    "a Lua stack trace": r"stack traceback:\s|\.lua:[0-9]+: in (?:main chunk|function|local|upvalue|method)\b",
    "a Perl error": r" at /[^\s:]{1,200}\.(?:p[lm]|psgi|cgi|t) line [0-9]+\.",
    "a Haskell call stack": r"CallStack \(from HasCallStack\):",
    "ColdFusion's error page": r"The error occurred in [^\n]{1,200}\.cf[cm]: line [0-9]+",
    "a Rust panic": r"thread '[^'\n]{1,80}' (?:\([0-9]+\) )?panicked at ",
    "Laravel's or Symfony's debug page": r"window\.(?:ignite|data = \{\"report\")|Whoops\\Exception|"
    r"Symfony\\Component\\[\w\\]{1,200}Exception|sf-dump-",
    "an SQL error": r"SQLSTATE\[\w{5}\]|You have an error in your SQL syntax|ORA-[0-9]{5}: |psycopg2?\.errors\.|"
    r"PG::\w+Error|com\.mysql\.|Unclosed quotation mark after the character string|sqlite3\.OperationalError|"
    r"syntax error at or near \"|duplicate key value violates unique constraint \""
    r"|near \"[^\"\n]{1,60}\": syntax error|E11000 duplicate key error|Microsoft OLE DB Provider for"
    r"|Invalid `prisma\.\w{1,60}\.\w{1,60}\(\)` invocation",
}
# what .NET, Go and PHP write in JSON for characters that mean something in HTML
_ESCAPED = re.compile(r"\\u00([2-7][0-9A-Fa-f])")
_SIGNS = {name: re.compile(pattern) for name, pattern in SIGNS.items()}


def leaks_in(body: str) -> tuple[str, ...]:
    """What of a program's inside an answer shows, by name; () for nothing."""
    import html

    # JSON writes line breaks and quotes escaped, pages write them as entities
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), html.unescape(body)).replace("\\r\\n", "\n")
    plain = plain.replace("\\t", "\t")
    plain = plain.replace('\\"', '"').replace("\\n", "\n").replace("\\/", "/").replace("\\\\", "\\")
    return tuple(name for name, pattern in _SIGNS.items() if pattern.search(plain))
