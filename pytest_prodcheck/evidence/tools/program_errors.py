"""What a program complains of, without a word of what tables hold: the one filter for every program's error output.

A PostgreSQL server quotes rows in DETAIL, CONTEXT, QUERY, STATEMENT and LINE, in the statement that a program shows
("Command was:"), and in primary messages ("invalid input syntax for type integer: …"; a function may raise whatever it
likes). Programs print all of that beside their own words. Own words and a server's known ones are kept.
"""

from __future__ import annotations

import re

from pytest_prodcheck.evidence.tools.sanitizing import plain

REFUSED = "the server refused it"
# libpq writes two blanks behind a word of the server; barman and pgBackRest write one behind their own. Then: drivers
# of Python, Java and Go, as the programs show them that are written with those.
_SERVERS = re.compile(
    r"\b(?:ERROR|WARNING|NOTICE|INFO|LOG|DEBUG\d?):  (?P<a>.*)|\bpsycopg2?\.[\w.]{1,80}[:)] (?P<b>.*)"
    r"|\basyncpg\.[\w.]{1,80}: (?P<c>.*)|PSQLException: (?:ERROR|FATAL): (?P<d>.*)|\bpq: (?P<e>.*)"
    r"|\bMessage +: ERROR: (?P<f>.*)"  # of Flyway
)
_GO, _GO_ENDS = "ERROR: ", re.compile(r" \(SQLSTATE \w{5}\)")  # of pgx
_ROWS = re.compile(
    r"\b(?:DETAIL|CONTEXT|HINT|QUERY|STATEMENT|LOCATION):  |\bLINE \d+: |\bCOPY \S+, line \d"
    r"|\b(?:Command|Query|Statement) was: |\b(?:detail|Detail|hint|Hint|Where): |\[SQL: |\[parameters: |\bStatement +: "
)
# messages that quote a value, whoever shows them
_VALUES = re.compile(
    r"invalid input|Key \([^()]*\)=\(|Failing row|is out of range|malformed \w+ literal|value too long"
    r"|syntax error at or near|invalid (?:regular expression|byte sequence)|date/time field"
)
# where pgBackRest, Barman, libpq and Python quote what stands in a file, a password maybe: what tells the place is kept
_OF_A_FILE = re.compile(
    r"(key/value found outside of section at line \d+|in key/value at line \d+|invalid JSON value at line \d+"
    r"|file: '[^']{1,300}', line: \d+|\[line +\d+\]|invalid line|invalid literal for \w+\(\)|missing \"=\" after"
    r"|invalid (?:connection option|URI query parameter)) ?.*"
)
_REFUSED_VALUE = re.compile(
    r"(?<=') (?:is not (?:allowed|valid)|is out of range) for '[\w-]+' option|(?<=\") is not a valid connection string"
)
# where words of a program begin again behind those of a server, which may have any number of lines
_BEGINS = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d|P\d\d +[A-Z]+: |[\w./-]+: (?:error|warning|fatal|info|notice): "
                     r"|(?:ERROR|WARNING|CRITICAL|EXCEPTION|FATAL|PANIC): |psql:")  # fmt: skip
_NAME = r'"[^"]{1,130}"'
_OBJECT = (r"(?:role|database|schema|relation|table|index|sequence|view|extension|tablespace|publication|subscription"
           r"|type|collation|language|server|replication slot|text search configuration)")  # fmt: skip
# primary messages that hold names and numbers alone
_KNOWN = re.compile("|".join((
    rf"{_OBJECT} {_NAME} (?:does not exist|already exists|is not available|is active for PID \d+)",
    rf"{_OBJECT} {_NAME} is being accessed by other users",
    rf"permission denied for (?:{_OBJECT}|function|foreign-data wrapper|foreign server|large object) \S+",
    r"must be (?:owner of|superuser|a superuser|member of)[\w \"]{0,100}",
    r"requested WAL segment \w+ has already been removed",
    rf"could not (?:open|read|write|access|create|stat|fsync|extend) (?:file|directory|extension control file) {_NAME}"
    r"(?:: [A-Z][\w ]{1,60})?",
    r"invalid page in block \d+ of relation \S+",
    rf"(?:item order|high key|cross page item order|down-link lower bound) invariant violated for index {_NAME}",
    rf"heap tuple \(\d+,\d+\) from table {_NAME} lacks matching index tuple within index {_NAME}",
    r"canceling statement due to (?:lock timeout|statement timeout|user request)|out of (?:shared )?memory",
    r"[\w ]{1,60} \(PID \d+\) (?:was terminated by signal \d+(?:: [\w ]{1,40})?|exited with exit code \d+)",
    r"cannot execute [A-Z ]{1,40} in a read-only transaction",
    rf"(?:duplicate key value violates unique|new row for relation {_NAME} violates check) constraint {_NAME}",
    rf"(?:insert or update|update or delete) on table {_NAME} violates foreign key constraint {_NAME}",
    rf"null value in column {_NAME} of relation {_NAME} violates not-null constraint",
)))  # fmt: skip


def without_rows(text: str) -> list[str]:
    """The lines that hold no row; of a server's error that is none of the known ones, that there was one."""
    kept: list[str] = []
    quoted = False  # what follows a word of the server may be the rest of a row
    for line in text.splitlines():
        found = _of_a_server(line)
        if quoted and not _BEGINS.match(line) and found is None:
            continue
        quoted = False
        if found is not None:
            start, said = found
            quoted = True
            line = line[:start] + (said if _KNOWN.fullmatch(said.strip()) else REFUSED)
        elif refused := _REFUSED_VALUE.search(line):
            quoted = True
            line = f"a value{refused[0]}"
        elif _OF_A_FILE.search(line):
            quoted = True
            line = _OF_A_FILE.sub(r"\1", line)
        elif _ROWS.search(line):
            quoted = True
            continue
        elif _VALUES.search(line):
            quoted = True
            line = REFUSED
        if line.strip():
            kept.append(line.strip())
    return kept


def _of_a_server(line: str) -> tuple[int, str] | None:
    """Where words of a server begin in a line, and they themselves."""
    if found := _SERVERS.search(line):
        return found.start(found.lastgroup or 0), str(found[found.lastgroup or 0])
    start, ends = line.find(_GO), _GO_ENDS.search(line)
    if start < 0 or ends is None or ends.start() < start:
        return None
    return start + len(_GO), line[start + len(_GO) : ends.start()]


def last_words(text: str, longest: int = 600) -> str:
    """The end of it, on one line."""
    return plain("; ".join(without_rows(text))[-longest:], longest)
