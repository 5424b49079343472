"""A bounded SQL session that only reads: its role needs pg_monitor and SELECT, and it never blocks a writer.

Every statement runs in a read-only transaction of its own with `statement_timeout` and `lock_timeout`, set by
`SET LOCAL`: behind a pooler in transaction mode a session's settings would leak to the applications. The time out is
the server's own, so that nothing runs on after we have left. `application_name` is `prodcheck`.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pytest_prodcheck.evidence.postgres.members import Member, connect, libpq_parameters, members
from pytest_prodcheck.evidence.postgres.problems import ServerError, classify
from pytest_prodcheck.evidence.postgres.safe_sql import NAMED, PATH, QUALIFIED
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.evidence.tools.threads import side_by_side
from pytest_prodcheck.records import EvidenceProblem, Problem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pytest_prodcheck.environments.sections.postgres import Timeouts
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.postgres.wire import Table, Wire

Node = TypeVar("Node")
Role = Literal["primary", "standby"]
MOST_BYTES = 8 * 1024 * 1024  # of one statement's rows
MOST_ROWS = 100_000
MARGIN = 0.5  # seconds that we wait longer than the server's own time out
CATCH_UP = 5.0  # seconds that a standby may take to show what the primary had written when it was asked

# SQLSTATE -> kind, what it means, what to do
_MEANINGS: dict[str, tuple[ProblemKind, str, str]] = {
    "25006": ("configuration", "it would write, and prodcheck's transactions are read-only", "only read"),
    "42601": ("configuration", "the SQL is not one statement that the server understands", "correct it"),
    "42P01": ("configuration", "there is no such table", "name its schema, as in public.orders; is `database` right?"),
    "42703": ("configuration", "there is no such column", "correct it"),
    "42704": ("configuration", "there is no such type", "name its schema, as in public.citext"),
    "42883": ("configuration", "there is no such function or operator",
              "name its schema, as in public.total(…) or OPERATOR(public.=); or create the extension it is of"),
    "55P03": ("timeout", "somebody holds a lock on it for longer than timeouts.lock", "who holds it? see pg_locks"),
    "40001": ("timeout", "the standby ended it, for it stood conflict with replay",
              "raise max_standby_streaming_delay, or read on the primary"),
}  # fmt: skip


class DataCorrupted(EvidenceProblem):
    """The server met data that cannot be as it is (SQLSTATE XX001 data_corrupted, XX002 index_corrupted).

    message: its words, on one line.
    """

    def __init__(self, problem: Problem, message: str) -> None:
        super().__init__(problem)
        self.message = message


class Session:
    """One connection to one node, to be used in a `with` statement.

    where: the node, for messages. version: server_version_num. All methods raise EvidenceProblem; after one that was
    late (timeout) the session can be used on, the server has ended the statement.
    """

    def __init__(self, wire: Wire, member: Member, user: str, secret: str, timeouts: Timeouts, deadline: Deadline):
        self.where = member.where
        self.declared = member.declared
        self.version = member.version
        self.recovering = member.recovering
        self.user = user
        self.deadline = deadline
        self.local: tuple[str, ...] = ()  # further settings of each transaction, such as "timezone = 'UTC'"
        self._wire, self._secret, self._timeouts = wire, secret, timeouts

    def __enter__(self) -> Session:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends the connection."""
        self.close()

    def close(self) -> None:
        """Ends the connection; may be called twice."""
        self._wire.close()

    def rows(
        self, sql: str, *values: str | None, seconds: float = 0.0, what: str = "", most: int = MOST_ROWS,
        own_path: bool = False,
    ) -> Table:  # fmt: skip
        """All rows of one statement, values in text form. $1, $2, … stand for `values`.

        seconds: its time budget, else `timeouts.statement`. what: what it reads, for messages. own_path: under the
        role's own `search_path`, for nothing but looking up a name; else names are looked for in `pg_catalog` alone.
        """
        budget = min(seconds or self._timeouts.statement, max(self.deadline.seconds_left() - MARGIN, 0.05))
        until = self.deadline.at_most(budget + MARGIN)
        try:
            self._wire.run(self._begin_statement(budget, own_path), until)
            try:
                return self._wire.rows(sql, values, until, most)
            finally:
                with suppress(ServerError, EvidenceProblem):  # given up early, the next statement would find it busy
                    self._wire.run("rollback", self.deadline.at_most(max(self._timeouts.statement, MARGIN)))
        except ServerError as error:
            problem = self._explain(error, budget, what)
            if error.state in ("XX001", "XX002"):
                raise DataCorrupted(problem, plain(error.message)) from None
            raise EvidenceProblem(problem) from None

    def facts(self, sql: str, *values: str | None, seconds: float = 0.0, what: str = "") -> Any:
        """The JSON document that a statement of ours returns."""
        table = self.rows(sql, *values, seconds=seconds, what=what, most=1)
        if not table.rows or table.rows[0][0] is None:
            raise EvidenceProblem(Problem("protocol", f"{self.where}: {what or 'a question'}: no answer"))
        try:
            return json.loads(table.rows[0][0])
        except ValueError:
            raise EvidenceProblem(Problem("protocol", f"{self.where}: {what}: the answer is no JSON")) from None

    def named(self, table: str, what: str = "") -> str:
        """A declared table with its schema, quoted: looked up as the role would; what it names is not called."""
        oid = self.rows(NAMED, table, what=what or table, own_path=True).rows[0][0]
        found = self.rows(QUALIFIED, oid, what=what or table).rows if oid is not None else ()
        if not found:
            kind, meaning, hint = _MEANINGS["42P01"]
            raise EvidenceProblem(Problem(kind, f"{self.where}: {what or table}: {meaning} ({table})", hint))
        return str(found[0][0])

    def _begin_statement(self, budget: float, own_path: bool) -> str:
        statement, lock = max(int(budget * 1000), 1), max(int(self._timeouts.lock * 1000), 1)  # ms
        return (
            f"begin read only; set local statement_timeout = {statement}; set local lock_timeout = {lock}; "
            f"set local idle_in_transaction_session_timeout = {statement + 10_000}; set local jit = off; "
            "set local timezone = 'UTC'"
            + ("" if own_path else f"; set local {PATH}")
            + "".join(f"; set local {each}" for each in self.local)
        )

    def _explain(self, error: ServerError, budget: float, what: str) -> Problem:
        said = plain(error.message.replace(self._secret, "[redacted]") if self._secret else error.message)
        about = f"{self.where}: {what}" if what else self.where
        if error.state == "57014":
            hint = "give it a larger budget, or a sample"
            return Problem("timeout", f"{about}: not done within {budget:.3g} s", hint)
        if error.state == "42501":
            hint = f"{missing_grant(said, self.user)}; prodcheck grants prints all that is needed"
            return Problem("denied", f"{about}: {self.user} may not read it ({said})", hint)
        if error.state in ("XX001", "XX002"):
            return Problem("protocol", f"{about}: its data is damaged ({said})", "see data_integrity.storage.checksums")
        if error.state in _MEANINGS:
            kind, meaning, hint = _MEANINGS[error.state]
            return Problem(kind, f"{about}: {meaning} ({said})", hint)
        if error.state[:2] in ("21", "22", "25", "42", "XX"):
            return Problem("protocol", f"{about}: the server refused it ({said})")
        return classify(error, about, self._secret)


def missing_grant(said: str, user: str) -> str:
    """The GRANT that would fix "permission denied for table orders"."""
    found = re.search(r"permission denied for (\w+(?: \w+)?) \"?([^\" ]+)\"?", said)
    if found is None:
        return f"GRANT {user} what it lacks"
    kind, name = found[1], found[2]
    match kind:
        case "schema":
            return f'GRANT USAGE ON SCHEMA "{name}" TO "{user}"'
        case "database":
            return f'GRANT CONNECT ON DATABASE "{name}" TO "{user}"'
        case "function":
            return f'GRANT EXECUTE ON FUNCTION {name} TO "{user}"'
        case "sequence":
            return f'GRANT SELECT ON SEQUENCE "{name}" TO "{user}"'
        case "table" | "view" | "relation" | "materialized view":
            return f'GRANT SELECT ON "{name}" TO "{user}"'
    return f'GRANT pg_monitor TO "{user}"'


def open_session(target: str, context: Context, deadline: Deadline, member: Member, database: str = "") -> Session:
    """A session with one node. database: another one than the declared."""
    if member.problem is not None or member.address is None:
        raise EvidenceProblem(member.problem or Problem("internal", f"{member.declared}: no address"))
    settings = context.environment.postgres[target]
    common = libpq_parameters(target, context, database)
    until = deadline.at_most(settings.timeouts.connect)
    wire = connect(member.declared, member.where, member.address, common, until, MOST_BYTES)
    return Session(wire, member, settings.user, common.get("password", ""), settings.timeouts, deadline)


def on_primary(target: str, context: Context, deadline: Deadline, database: str = "") -> Session:
    """A session with the one node that is no standby; raises EvidenceProblem where there is none, or several."""
    found = members(target, context, deadline)
    primaries = [each for each in found if each.problem is None and not each.recovering]
    if len(primaries) == 1:
        return open_session(target, context, deadline, primaries[0], database)
    silent = next((each.problem for each in found if each.problem is not None), None)
    if not primaries and silent is not None:
        raise EvidenceProblem(silent)
    names = ", ".join(each.declared for each in primaries) or "none"
    what = f"postgres {target}: there is not one primary to ask, but {names}"
    raise EvidenceProblem(Problem("configuration", what, "see smoke.postgres.primary"))


def on_every_node(
    target: str, context: Context, deadline: Deadline,
    look: Callable[[Member, Session], Node], failed: Callable[[str, Problem], Node],
) -> tuple[Node, ...]:  # fmt: skip
    """What a look at each node found, side by side; a node that does not answer has its problem."""

    def one(member: Member) -> Node:
        try:
            with open_session(target, context, deadline, member) as session:
                return look(member, session)
        except EvidenceProblem as error:
            return failed(member.declared, error.problem)

    found = members(target, context, deadline)
    answers = side_by_side([partial(one, each) for each in found], deadline.time_left())
    late = Problem("timeout", "no answer in time")
    return tuple(answer or failed(each.declared, late) for each, answer in zip(found, answers, strict=True))


def session_for_long_reads(target: str, context: Context, deadline: Deadline, database: str = "") -> Session:
    """A session for what takes long: with a standby where there is one, which first catches up with the primary.

    `read_on` says which; where it is left out and no standby can be read, the primary is, with a note.
    """
    wanted = context.environment.postgres[target].read_on
    if wanted == "primary":
        return on_primary(target, context, deadline, database)
    why = Problem("configuration", f"postgres {target}: no standby to read on", 'say read_on = "primary"')
    for member in members(target, context, deadline):
        if not member.recovering:
            continue
        if not member.replaying:
            why = Problem("timeout", f"{member.where}: its replay is paused")
            continue
        try:
            session = open_session(target, context, deadline, member, database)
            try:
                _wait_for_replay(target, context, session, deadline)
            except BaseException:
                session.close()
                raise
            return session
        except EvidenceProblem as error:
            why = error.problem
    if wanted == "standby":
        raise EvidenceProblem(why)
    if context.environment.postgres[target].expect.standbys:
        deadline.note(f"read on the primary: {why.message}")
    return on_primary(target, context, deadline, database)


# Whether replay waits for more to come: it has done what it could. A read that is rolled back can leave a record half
# written at a page's end for up to 15 s (hints, which nobody flushes): a standby has all of it that there is, and
# cannot replay it.
REPLAY_WAITS = """\
exists (select from pg_stat_activity where backend_type = 'startup' and wait_event = 'RecoveryWalStream')"""
_REPLAY = f"""\
select pg_last_wal_replay_lsn() >= $1::pg_lsn,
  coalesce(pg_last_wal_receive_lsn() >= $1::pg_lsn, false) and {REPLAY_WAITS}, pg_last_wal_replay_lsn()"""


def _wait_for_replay(target: str, context: Context, session: Session, deadline: Deadline) -> None:
    """Until a standby shows what the primary had written when this run first asked: older rows would prove nothing."""
    written = context.once(("postgres-written", target), lambda: _flushed_lsn(target, context, deadline), deadline)
    if not caught_up(session, written, min(CATCH_UP, max(deadline.time_left() / 2, 0.1))):
        what = f"{session.where}: it has not replayed what the primary wrote {CATCH_UP:g} s ago"
        raise EvidenceProblem(Problem("timeout", what, "does it follow? see smoke.postgres.standbys"))


def caught_up(session: Session, written: str, seconds: float) -> bool:
    """Whether a standby has replayed what was written, waited for at most so many seconds.

    It has caught up too where it has received that much and replay waits for more (`REPLAY_WAITS`), twice at one place.
    """
    until, pause, before = time.monotonic() + seconds, 0.02, ""
    while True:
        replayed, waits, at = session.rows(_REPLAY, written, what="replay position").rows[0]
        if replayed == "t" or (waits == "t" and at == before):
            return True
        before = at or "" if waits == "t" else ""
        if time.monotonic() > until:
            return False
        session.deadline.seconds_left()
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def _flushed_lsn(target: str, context: Context, deadline: Deadline) -> str:
    with on_primary(target, context, deadline) as session:
        return session.rows("select pg_current_wal_flush_lsn()", what="WAL position").rows[0][0] or ""
