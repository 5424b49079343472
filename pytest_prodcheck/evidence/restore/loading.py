"""SQL text sent to a scratch server, statement by statement, as a role that may do nothing but own what it makes."""

from __future__ import annotations

import re
import select
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.postgres.server_text import shown
from pytest_prodcheck.evidence.restore.disk_space import refuse_exhaustion
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.restore.sql_text import SqlText

LOADER = "prodcheck_loader"
_BATCH = 64 * 1024  # bytes of INSERT statements that go in one message
# of the cluster and not of the database: owners, rights, tablespaces, the database itself
_CLUSTERS = re.compile(
    rb"(GRANT|REVOKE|SECURITY\s+LABEL|ALTER\s+DEFAULT\s+PRIVILEGES|(CREATE|ALTER|DROP)\s+DATABASE"
    rb"|COMMENT\s+ON\s+(DATABASE|EXTENSION|SCHEMA\s+public\b)|SET\s+default_tablespace|SET\s+SESSION\s+AUTHORIZATION)",
    re.IGNORECASE,
)  # fmt: skip
_ALTERS, _OWNER = re.compile(rb"ALTER\s[^;']*+;\Z", re.IGNORECASE), re.compile(rb"\sOWNER\s++TO\s", re.IGNORECASE)
# what does something by itself, in a server that is to do nothing
_ACTS = re.compile(
    rb"(?:CREATE|ALTER|DROP|COMMENT\s+ON)\s+(EVENT\s+TRIGGER|PUBLICATION|SUBSCRIPTION)\b", re.IGNORECASE
)
_ROLE = re.compile(r'role ".*" does not exist', re.DOTALL)
_ENDED = "the server ended"
_FORBIDDEN, _UNDEFINED = "42501", "42704"
_PUBLIC = ("42P06", 'schema "public" already exists')  # pg_dump -n public makes it, and every database has it


@dataclass
class LoadResult:
    """reason: why it was not loaded whole, "" where it was. forbidden: for want of rights. left_out: of which kind."""

    reason: str = ""
    forbidden: bool = False
    left_out: Counter[str] = field(default_factory=Counter)


def load(connection: Any, text: SqlText) -> LoadResult:
    """Sends all statements over a low-level connection, up to the first that is refused."""
    import psycopg

    loaded = LoadResult()
    inserts: list[bytes] = []
    try:
        for statement in text.statements():
            if acting := _ACTS.match(statement):
                loaded.left_out[acting[1].decode().lower()] += 1
                continue
            if _CLUSTERS.match(statement) or (_ALTERS.match(statement) and _OWNER.search(statement)):
                continue
            insert = statement[:7].upper() == b"INSERT "
            if not insert or sum(map(len, inserts)) > _BATCH:
                _send(connection, b"\n".join(inserts), text, loaded)
                inserts = []
            if insert:
                inserts.append(statement)
            else:
                _send(connection, statement, text, loaded)
            if loaded.reason:
                return loaded
        _send(connection, b"\n".join(inserts), text, loaded)
    except EvidenceProblem as error:
        if error.problem.kind != "protocol":
            raise
        loaded.reason = loaded.reason or error.problem.message
    except psycopg.OperationalError:  # of the connection: a server's own errors come as results
        loaded.reason = _ENDED
    if not loaded.reason and not text.whole:
        loaded.reason = "it does not end like a pg_dump file: it is truncated"
    return loaded


def _send(connection: Any, statement: bytes, text: SqlText, loaded: LoadResult) -> None:
    """One message; roles that are not there any more, and the schema that is there anyway, are no part of a dump."""
    if not statement or loaded.reason:
        return
    from psycopg import pq

    rows = text.is_copy(statement)
    result = connection.exec_(statement)
    if result.status == pq.ExecStatus.COPY_IN:
        for piece in text.rows():
            connection.put_copy_data(piece)
            _flush(connection, text)
        connection.put_copy_end()
        result = connection.get_result()
        while (more := connection.get_result()) is not None:
            result = more if more.status == pq.ExecStatus.FATAL_ERROR else result
    elif rows and result.status != pq.ExecStatus.FATAL_ERROR:
        loaded.reason = "the server takes no rows where the dump has some"
    if result.status != pq.ExecStatus.FATAL_ERROR:
        return
    field = pq.DiagnosticField
    state, said, source = (
        _field(result, each) for each in (field.SQLSTATE, field.MESSAGE_PRIMARY, field.SOURCE_FUNCTION)
    )
    if (state == _UNDEFINED and _ROLE.match(said)) or (state, said) == _PUBLIC:
        return
    loaded.reason = shown(state, said, source) if state else _ENDED
    refuse_exhaustion(state, loaded.reason)
    loaded.forbidden = state == _FORBIDDEN


def _flush(connection: Any, text: SqlText) -> None:
    """Sends all that is put: psycopg's connections would keep a whole table in memory, and move it for each part."""
    while connection.flush():
        readable, _, _ = select.select([connection.socket], [connection.socket], [], text.pause())
        if readable:
            connection.consume_input()


def _field(result: Any, which: Any) -> str:
    return (result.error_field(which) or b"").decode(errors="replace")
