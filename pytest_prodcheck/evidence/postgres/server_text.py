"""What a server says when it refuses something, without a word of what its tables hold.

DETAIL, CONTEXT, HINT and the statement show rows. The primary message names tables, columns and constraints in most
classes of SQLSTATE; in the others ("invalid input syntax for type integer: …") it quotes values, and a function may
raise whatever it likes. There the condition's name is all that is said.
"""

from __future__ import annotations

import re

from pytest_prodcheck.evidence.tools.sanitizing import plain

# classes whose primary message has names and numbers only (errcodes.txt): connections, invalid transaction states,
# constraints, catalogues, roles, undefined and duplicate objects, resources, operator intervention, files, damage
_NAMES_ONLY = ("08", "0A", "23", "25", "28", "2B", "2D", "3B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58",
               "F0", "XX")  # fmt: skip
_QUOTES = ("42601", "42P17", "42P20", "42804")  # of these: a syntax error shows where it is, which can be a row
_ROWS = re.compile(r"(DETAIL|CONTEXT|HINT|QUERY|STATEMENT|LOCATION|LINE \d+):|COPY \S+, line ")


def shown(state: str, message: str) -> str:
    """An error as it may be kept. state: SQLSTATE. message: the primary one."""
    if state.startswith(_NAMES_ONLY) and state not in _QUOTES:
        return f"{plain(message.splitlines()[0] if message else '')} ({state})"
    return f"{condition(state)} ({state})"


def condition(state: str) -> str:
    """The name of an SQLSTATE, as PostgreSQL's documentation lists it."""
    from psycopg import errors

    try:
        name = errors.lookup(state).__name__
    except KeyError:
        return "an error"
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


def program_said(errors: str, longest: int = 300) -> str:
    """What one of PostgreSQL's programs complains of: its own words; of a server's, that there were some."""
    kept = []
    for line in errors.splitlines():
        if _ROWS.search(line) or line.startswith((" ", "\t")):
            continue
        own, _, servers = line.partition("ERROR: ")
        kept.append(f"{own.rstrip()} the server refused it" if servers else line)
    return plain("; ".join(kept[-3:]), longest)
