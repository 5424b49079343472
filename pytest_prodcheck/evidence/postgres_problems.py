"""What a PostgreSQL server, a pooler in front of it or libpq says when it does not work, in our kinds of problems.

What is said before the login has no SQLSTATE that libpq hands out, so English words are looked for there; a server that
speaks another language is told in its own words, as "protocol".
"""

from __future__ import annotations

import re

from pytest_prodcheck.evidence.cleaning import plain
from pytest_prodcheck.evidence.records import Problem, ProblemKind


class ServerError(Exception):
    """An error that the server or libpq told. state: SQLSTATE, "" where libpq does not hand it out."""

    def __init__(self, said: str, state: str = "") -> None:
        super().__init__(said)
        self.said = said
        self.state = state


_ROWS: tuple[tuple[str, ProblemKind, str, str], ...] = (  # pattern of SQLSTATE or text, kind, what, hint
    (r"too many connections for role|connection limit exceeded for .*role", "denied",
     "the user has reached its own connection limit", "ALTER ROLE … CONNECTION LIMIT"),
    (r"^53300$|too many clients|remaining connection slots|too many connections|no more connections allowed|query_wait_timeout",
     "full", "too many clients, no connection is left", "look for sessions that leak, or raise max_connections"),
    (r"^28|password authentication failed|no pg_hba\.conf entry|no password supplied|authentication failed|"
     r"SASL|not permitted to log in|role .* does not exist|permission denied|no such user|pg_hba", "denied",
     "the login was refused", "are user, password and pg_hba.conf right?"),
    (r"^3D000$|database .* does not exist|no such database", "denied", "the database is not there", "is `database` right?"),
    (r"^57P03$|starting up|shutting down|not yet accepting connections|in recovery mode|not accepting", "refused",
     "the server takes no sessions now", "does it start, stop or recover?"),
    (r"root certificate file|could not read (root )?certificate|private key file|could not load", "configuration",
     "a TLS file cannot be used", "name the server's CA in tls.ca"),
    (r"does not support SSL", "tls", "the server offers no TLS", 'switch on ssl there, or say tls = { mode = "disable" }'),
    (r"invalid response to SSL|expected authentication|unexpected message|received invalid|unrecognized|lost synchronization|"
     r"message contents|protocol", "protocol", "what answers does not speak PostgreSQL", "is this the right port?"),
    (r"certificate verify failed|self.signed|server certificate for|unable to get (local )?issuer", "tls",
     "its certificate is not trusted", "is it for this name, in date, and of the CA in tls.ca?"),
    (r"SSL|TLS|certificate", "tls", "TLS failed", "is tls right?"),
    (r"connection refused", "refused", "connection refused", "does it run, and is this its port?"),
    (r"network is unreachable|cannot assign requested address", "unreachable", "no route from here", ""),
    (r"no route to host|host is down", "timeout", "the host does not answer", ""),
    (r"^57014$|statement timeout|timeout expired|timed out", "timeout", "it did not answer in time", "is it overloaded?"),
    (r"^57P0|^08|closed the connection|reset by peer|terminating connection|broken pipe|EOF detected|could not (send|receive)",
     "reset", "the connection was closed", "does it restart, or is something in between?"),
)  # fmt: skip


def classify(error: ServerError, where: str, secret: str = "") -> Problem:
    """The problem that an error stands for. where: "HOST:PORT". secret: the password, blanked should anybody echo it."""
    said = _words(error.said)
    if secret:
        said = said.replace(secret, "[redacted]")
    for pattern, kind, what, hint in _ROWS:
        # a state names its row by itself; words are only looked for in what was said
        if re.search(pattern, said, re.I) or (error.state and pattern.startswith("^") and re.match(pattern, error.state)):
            return Problem(kind, f"{where}: {what} ({said})", hint)
    return Problem("protocol", f"{where}: {said or 'it said nothing that libpq understands'}")


def _words(said: str) -> str:
    """The text without the connection's address, that libpq puts before each line, and without "FATAL:"."""
    said = re.sub(r'connection to server (at|on socket) "[^"]*"( \([^)]*\))?(, port \d+)? failed: ', "", said)
    return plain(re.sub(r"(connection (failed|is bad): )|((FATAL|ERROR):\s+)", "", said))
