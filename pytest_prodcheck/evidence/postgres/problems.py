"""What a PostgreSQL server, a pooler in front of it or libpq says when it does not work, in our kinds of problems.

Before the login libpq hands out no SQLSTATE, so English words are looked for there; a server that speaks another
language is told in its own words, as "protocol".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import Problem, ProblemKind


class ServerError(Exception):
    """An error that the server or libpq told. state: SQLSTATE, "" where libpq does not hand it out."""

    def __init__(self, message: str, state: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.state = state


@dataclass(frozen=True)
class _Row:
    """states: SQLSTATEs, by their beginning. words: what is looked for in the text."""

    states: tuple[str, ...]
    words: str
    kind: ProblemKind
    what: str
    hint: str = ""


_ROWS = (  # the first that fits
    _Row((), r"too many connections for role", "denied", "the user's own connection limit is reached",
         "ALTER ROLE … CONNECTION LIMIT"),
    _Row(("53300",), r"too many (clients|connections)|remaining connection slots|no more connections allowed"
         r"|query_wait_timeout", "full", "too many clients, no connection is left",
         "look for sessions that leak, or raise max_connections"),
    _Row(("28", "42501"), r"authentication failed|no pg_hba\.conf entry|no password supplied|SASL|permission denied"
         r"|not permitted to log in|role .* does not exist|no such user", "denied", "the login was refused",
         "are user, password and pg_hba.conf right?"),
    _Row(("3D000",), r"database .* does not exist|no such database", "denied", "the database is not there",
         "is `database` right?"),
    _Row(("57P03",), r"starting up|shutting down|not (yet )?accepting connections|in recovery mode", "refused",
         "the server takes no sessions now", "does it start, stop or recover?"),
    _Row((), r"root certificate file|read certificate file|private key file|could not load", "configuration",
         "a TLS file cannot be used", "name the server's CA in tls.ca"),
    _Row((), r"does not support SSL", "tls", "the server offers no TLS",
         'switch on ssl there, or say tls = { mode = "disable" }'),
    _Row((), r"invalid response to SSL|expected authentication|unexpected message|received invalid|lost synchronization"
         r"|message contents|wrong version number|unsupported (protocol|frontend)", "protocol",
         "the server does not speak the PostgreSQL protocol", "is this the right port?"),
    _Row((), r"certificate verify failed|self.signed|server certificate for|issuer", "tls",
         "its certificate is not trusted", "is it for this name, in date, and of the CA in tls.ca?"),
    _Row((), r"connection refused", "refused", "connection refused", "does it run, and is this its port?"),
    _Row((), r"network is unreachable|cannot assign requested address", "unreachable", "no route from here"),
    _Row((), r"no route to host|host is down", "timeout", "the host does not answer"),
    _Row(("57014",), r"statement timeout|timeout expired|timed out", "timeout", "no answer in time",
         "is it overloaded?"),
    _Row(("57P0", "08"), r"closed the connection|reset by peer|terminating connection|broken pipe|EOF detected"
         r"|unexpected eof|could not (send|receive)", "reset", "the connection was closed",
         "does it restart, or is something in between?"),
    _Row((), r"SSL|TLS|certificate", "tls", "TLS failed", "is tls right?"),
)  # fmt: skip


def classify(error: ServerError, where: str, secret: str = "") -> Problem:
    """The problem of an error. where: "HOST:PORT". secret: the password, blanked should anybody echo it."""
    said = error.message.replace(secret, "[redacted]") if secret else error.message
    said = _without_address(said)
    for row in _ROWS:
        if (error.state and error.state.startswith(row.states)) or re.search(row.words, said, re.IGNORECASE):
            return Problem(row.kind, f"{where}: {row.what} ({said})", row.hint)
    return Problem("protocol", f"{where}: {said or 'it said nothing that libpq understands'}")


def _without_address(said: str) -> str:
    """The text without the connection's address, that libpq puts before each line, and without "FATAL:"."""
    said = re.sub(r'connection to server (at|on socket) "[^"]*"( \([^)]*\))?(, port \d+)? failed: ', "", said)
    said = re.sub(r"\s{0,9}Is the server running on that host and accepting TCP/IP connections\?", "", said)
    return plain(re.sub(r"(connection (failed|is bad): )|((FATAL|ERROR):\s+)", "", said))
