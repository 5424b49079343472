"""The database that the tests of data, schema, references and activity look at, and how its evidence is gathered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.evidence.contexts import gather
from tests.evidence.postgres.servers import Server

TABLES = """
create schema app;
create table app.orders (
  id bigint generated always as identity primary key, total bigint, at timestamptz default now());
create table app.lines (order_id bigint not null references app.orders, n smallint generated always as identity);
create table app.events (order_id bigint, what text, at timestamp default (now() at time zone 'utc'));
create table app."Odd Name" ("Key 1" bigint, "Key 2" text, primary key ("Key 1", "Key 2"));
create table app.odd_child (a bigint, b text, foreign key (a, b) references app."Odd Name");
create table app.visits (at date not null, order_id bigint references app.orders) partition by range (at);
create table app.visits_20 partition of app.visits for values from ('2020-01-01') to ('2021-01-01');
create table app.visits_21 partition of app.visits for values from ('2021-01-01') to ('2022-01-01');
create function app.touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touch before update on app.orders for each row execute function app.touch();
create table alembic_version (version_num varchar(32) primary key);
insert into alembic_version values ('bb');
insert into app.orders (total) select i from generate_series(1, 1000) i;
insert into app.lines (order_id) select i from generate_series(1, 1000) i;
insert into app.events select i, 'x' from generate_series(1, 1000) i;
insert into app."Odd Name" values (1, 'a'); insert into app.odd_child values (1, 'a'), (2, null);
insert into app.visits values ('2020-02-02', 1), ('2021-02-02', 2);
analyze;
"""
SETTINGS: dict[str, Any] = {
    "migrations": {"kind": "alembic", "scripts": "scripts"},
    "orphans": {"enforced": True},
    "structure": {"budget": "30s"},
    "relations": {"events": {"child": "app.events(order_id)", "parent": "app.orders(id)"}},
    "freshness": {"orders": {"table": "app.orders", "column": "at", "at_most": "1h"},
                  "events": {"table": "app.events", "column": "at", "at_most": "1h"}},
    "invariants": {"totals": {"sql": "select count(*) from app.orders where total < 0", "at_most": 0,
                              "reads": ["app.orders"]}},
}  # fmt: skip
ALL = ("postgres-migrations", "postgres-schema", "postgres-orphans", "postgres-freshness", "postgres-checksums",
       "postgres-activity", "postgres-structure", "postgres-subscriptions")  # fmt: skip


def find(database: Server, name: str, root: Path = Path("/"), **changes: Any) -> Any:
    return gather(name, "totals" if "invariant" in name else "shop", database.context(root, **{**SETTINGS, **changes}))


@contextlib.contextmanager
def changed(database: Server, on: str, off: str) -> Iterator[None]:
    database.run(*on.split(";"))
    try:
        yield
    finally:
        database.run(*off.split(";"))
