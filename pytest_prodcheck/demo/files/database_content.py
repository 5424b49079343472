"""What the demo keeps in PostgreSQL beside orders: prices, migrations, events, numbers; and the scripts it ships."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

PRICES = {"smoke-sku-1": 1290, "sku-2": 450, "sku-3": 9900}  # cents
FOLDER = "migrations"
SCRIPTS = {
    "V1__shop.sql": "create table customers (name text primary key);\n",
    "V2__orders.sql": "create table orders (id bigint generated always as identity primary key);\n",
    "V3__order_events.sql": "create table order_events (id bigint generated always as identity primary key);\n",
    "R__order_totals.sql": "create or replace view order_totals as select count(*), sum(total) from orders;\n",
}

TABLES = """
create table order_events (  -- without a foreign key: events outlive the orders that an archive takes away
    id bigint generated always as identity primary key,
    order_id bigint not null,
    what text not null,
    at timestamptz not null default now(),
    sent_at timestamptz
);
create table notes (id integer generated always as identity primary key, text text not null);
create index notes_text on notes (text);
create view order_totals as select count(*), sum(total) from orders;
create sequence invoice_numbers as integer;
create function touch() returns trigger language plpgsql as 'begin new.since := now(); return new; end';
create trigger customers_touch before update of since on customers for each row execute function touch();
create table flyway_schema_history (
    installed_rank integer primary key, version varchar(50), description varchar(200) not null,
    type varchar(20) not null, script varchar(1000) not null, checksum integer, installed_by varchar(100) not null,
    installed_on timestamp not null default now(), execution_time integer not null, success boolean not null
);
create extension amcheck;
"""
NOTES = "insert into notes (text) select 'note ' || i from generate_series(1, 200) i"
ROWS = f"""
insert into order_events (order_id, what, sent_at) values (1, 'placed', now()), (2, 'placed', now());
{NOTES};
"""
RIGHTS = """
grant select on all sequences in schema public to prodcheck;
grant execute on function bt_index_check(regclass, boolean) to prodcheck;
"""
RIGHTS_14 = (
    "grant execute on function verify_heapam(regclass, boolean, boolean, text, bigint, bigint) to prodcheck"
)
NOTE = """
insert into flyway_schema_history values (%s, %s, %s, 'SQL', %s, %s, 'shop', now(), 12, %s)
"""


def checksum(text: str) -> int:
    """Flyway's: CRC-32 of the lines without their ends, signed."""
    crc = 0
    for line in text.splitlines():
        crc = zlib.crc32(line.encode(), crc)
    return crc - (1 << 32) if crc >= 1 << 31 else crc


def row_of(rank: int, script: str, text: str, success: bool = True) -> tuple[object, ...]:
    """The row that Flyway notes for a script."""
    found = re.match(r"(?:V(\d+)|R)__(.*)\.sql", script)
    if found is None:
        raise ValueError(script)
    return rank, found[1], found[2].replace("_", " "), script, checksum(text), success


def write_scripts(place: Path) -> None:
    """Writes the folder that the revision ships."""
    folder = place / FOLDER
    folder.mkdir()
    for name, text in SCRIPTS.items():
        (folder / name).write_text(text)
