"""The SQL that gives the role of a PostgreSQL cluster what the declared checks need, and no more. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.sections.database import columns_of

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.postgres import Postgres

_MIGRATIONS = {
    "alembic": "alembic_version", "flyway": "flyway_schema_history", "django": "django_migrations",
    "liquibase": "databasechangelog", "table": "schema_migrations",
}  # fmt: skip


def quoted(name: str) -> str:
    """A role's or database's name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def _literal(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def grants(cluster: str, settings: Postgres) -> Iterator[str]:
    """Lines of SQL and comments for one cluster; to be run on its primary, in the declared database, by its owner."""
    role = quoted(settings.user)
    yield f"-- postgres {cluster}: on the primary, in the database {settings.database}, as a superuser or its owner"
    yield "-- pipe it into psql, repeat it as often as needed; set the password yourself with \\password"
    user = _literal(settings.user)
    missing = f"WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {user})"
    yield f"SELECT format('CREATE ROLE %I LOGIN', {user}) {missing} \\gexec"
    yield f"GRANT pg_monitor TO {role};  -- others' sessions, locks, replication; no rows"
    yield f"GRANT CONNECT ON DATABASE {quoted(settings.database)} TO {role};"
    for schema in sorted({name.rpartition(".")[0] for name in tables(settings)} - {""}):
        yield f"GRANT USAGE ON SCHEMA {schema} TO {role};"
    for name, why in tables(settings).items():
        yield f"GRANT SELECT ON {name} TO {role};  -- {', '.join(why)}"
    yield from _sequences(role, tables(settings))
    yield from _relations(role, settings)
    if settings.structure is not None:
        yield from _amcheck(role)
    restore = settings.backups.restore if settings.backups is not None else None
    if restore is not None and restore.record is not None:
        yield from _recording(role, settings)


def tables(settings: Postgres) -> dict[str, list[str]]:
    """The declared tables that are read, with what reads them."""
    found: dict[str, list[str]] = {}

    def add(table: str, why: str) -> None:
        if why not in found.setdefault(table, []):
            found[table].append(why)

    if settings.migrations is not None:
        noted = settings.migrations.table or _MIGRATIONS[settings.migrations.kind]
        add(noted, "migrations")
        if settings.migrations.kind == "liquibase":
            add(f"{noted}lock", "whether a migration runs")
    for name, invariant in settings.invariants.items():
        for table in invariant.reads:
            add(table, f"invariant {name}")
    for name, relation in settings.relations.items():
        add(columns_of(relation.child)[0], f"relation {name}")
        add(columns_of(relation.parent)[0], f"relation {name}")
    for name, newest in settings.freshness.items():
        add(newest.table, f"freshness {name}")
    for name in settings.content.tables if settings.content is not None else ():
        add(name, "content; partitions each too")
    for column in settings.columns:
        add(column.rpartition(".")[0], f"column {column}")
    return found


def _sequences(role: str, known: dict[str, list[str]]) -> Iterator[str]:
    schemas = sorted({name.rpartition(".")[0] or "public" for name in known} | {"public"})
    yield "-- how much of each sequence is used; name the schemas that have some"
    for schema in schemas:
        yield f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role};"
        yield f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON SEQUENCES TO {role};"


def _relations(role: str, settings: Postgres) -> Iterator[str]:
    which = "every foreign key" if settings.orphans.enforced else "foreign keys that are NOT VALID or disabled"
    yield f"-- orphans: {which}; the tables on both sides:"
    wanted = "" if settings.orphans.enforced else (
        " AND EXISTS (WITH RECURSIVE tree(id) AS (SELECT k.oid UNION ALL SELECT below.oid FROM pg_constraint below"
        " JOIN tree ON below.conparentid = tree.id) SELECT FROM tree JOIN pg_constraint each ON each.oid = tree.id"
        " WHERE NOT each.convalidated OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = each.oid"
        " AND t.tgenabled NOT IN ('O', 'A')))"
    )  # fmt: skip
    user = _literal(settings.user)
    yield (
        f"SELECT DISTINCT format('GRANT SELECT ON %s TO %I', t::regclass, {user}) FROM pg_constraint k, "
        "unnest(ARRAY[k.conrelid, k.confrelid]) t WHERE k.contype = 'f' AND k.conparentid = 0"
        f"{wanted} \\gexec"
    )
    unnamed = [name for name, invariant in settings.invariants.items() if not invariant.reads]
    if unnamed:
        yield f"-- invariants that do not say what they read (`reads`): {', '.join(unnamed)}"


def _recording(role: str, settings: Postgres) -> Iterator[str]:
    user = _literal(settings.user)
    yield "-- prodcheck record-backup: positions in WAL, and every table of the database"
    yield f"GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO {role};"
    yield (
        f"SELECT format('GRANT SELECT ON %s TO %I', oid::regclass, {user}) FROM pg_class WHERE relkind = 'r' AND "
        "relpersistence = 'p' AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)' \\gexec"
    )
    yield (
        f"SELECT format('GRANT USAGE ON SCHEMA %I TO %I', nspname, {user}) FROM pg_namespace WHERE nspname !~ "
        "'^(pg_|information_schema)' \\gexec"
    )


def _amcheck(role: str) -> Iterator[str]:
    yield "CREATE EXTENSION IF NOT EXISTS amcheck;"
    yield f"GRANT EXECUTE ON FUNCTION bt_index_check(regclass, boolean) TO {role};"
    yield "-- from PostgreSQL 14 on, tables too:"
    function = "verify_heapam(regclass, boolean, boolean, text, bigint, bigint)"
    grant = f"GRANT EXECUTE ON FUNCTION {function} TO {role}"
    yield f"SELECT {_literal(grant)} WHERE to_regprocedure('{function}') IS NOT NULL \\gexec"
