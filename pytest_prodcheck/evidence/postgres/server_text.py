"""What a server says when it refuses something, without a word of what its tables hold.

DETAIL, CONTEXT, HINT and the statement show rows. The primary message names tables, columns and constraints in most
classes of SQLSTATE; in the others ("invalid input syntax for type integer: …") it quotes values, and a function may
raise whatever it likes. There the condition's name is all that is said.
"""

from __future__ import annotations

import re
from typing import Any

from pytest_prodcheck.evidence.tools.sanitizing import plain

# classes whose primary message has names and numbers only (errcodes.txt): connections, invalid transaction states,
# constraints, catalogues, roles, undefined and duplicate objects, resources, operator intervention, files, damage
_NAMES_ONLY = ("08", "0A", "23", "25", "28", "2B", "2D", "3B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58",
               "F0", "XX001", "XX002")  # fmt: skip
_QUOTES = ("42601", "42P17", "42P20", "42804")  # of these: a syntax error shows where it is, which can be a row


_RAISED = ("exec_stmt_raise",)  # the server's function where RAISE of PL/pgSQL, with any SQLSTATE, comes from


def words(state: str, message: str, source: str = "") -> str:
    """What may be kept of an error: its primary message where that holds names alone, else the condition's name.

    state: SQLSTATE. source: the server's function that told it, where that is known.
    """
    if state.startswith(_NAMES_ONLY) and state not in _QUOTES and source not in _RAISED:
        return plain(message.splitlines()[0] if message else "")
    return condition(state)


def shown(state: str, message: str, source: str = "") -> str:
    """The same, with the SQLSTATE behind it."""
    return f"{words(state, message, source)} ({state})"


def of_error(error: Any) -> str:
    """An error of psycopg as it may be kept: its text has DETAIL and CONTEXT too."""
    if not error.sqlstate:  # libpq's own, of a connection
        return plain(str(error).splitlines()[0] if str(error) else type(error).__name__)
    return shown(error.sqlstate, error.diag.message_primary or "", error.diag.source_function or "")


def condition(state: str) -> str:
    """The name of an SQLSTATE, as PostgreSQL's documentation lists it."""
    from psycopg import errors

    try:
        name = errors.lookup(state).__name__
    except KeyError:
        return "an error"
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower().rstrip("_")
