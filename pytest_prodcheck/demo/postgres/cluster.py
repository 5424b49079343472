"""The demo's PostgreSQL: a primary with a streaming standby, archived WAL and a base backup."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from pytest_prodcheck.demo.files import database_content
from pytest_prodcheck.demo.files.configuration import Secrets
from pytest_prodcheck.demo.network.balancer import LoadBalancer
from pytest_prodcheck.demo.postgres.node import SETTINGS, Node
from pytest_prodcheck.demo.runtime.processes import Spawner
from pytest_prodcheck.demo.runtime.programs import postgres_programs, reachable
from pytest_prodcheck.demo.runtime.waiting import until

SCHEMA = """
create table customers (name text primary key, since timestamptz not null default now());
create table products (sku text primary key, title text not null, price integer not null check (price >= 0));
create table orders (
    id bigint generated always as identity primary key,
    customer text not null references customers,
    state text not null default 'placed' check (state in ('placed', 'cancelled')),
    total bigint not null check (total >= 0),
    placed_at timestamptz not null default now()
);
create index orders_customer on orders (customer);
create table order_lines (
    order_id bigint not null references orders,
    sku text not null references products,
    count integer not null check (count > 0),
    price integer not null,
    primary key (order_id, sku)
);
create index order_lines_sku on order_lines (sku);
create table payments (
    order_id bigint primary key references orders,
    amount bigint not null,
    method text not null,
    paid_at timestamptz not null default now()
);
create table payment_methods (
    id bigint generated always as identity primary key,
    customer text not null references customers,
    card text,   -- encrypted by the application: a version and base64
    holder bytea  -- encrypted
);
create index payment_methods_customer on payment_methods (customer);
insert into customers values ('customer'), ('other-customer');
insert into payment_methods (customer, card, holder)
select 'customer', 'v1:' || encode(sha256(convert_to(random()::text, 'UTF8')), 'base64'),
       sha256(convert_to(random()::text, 'UTF8')) from generate_series(1, 40);
insert into orders (customer, total) values ('customer', 1290), ('other-customer', 900);
"""
SEED = """
insert into order_lines values (1, 'smoke-sku-1', 1, 1290), (2, 'sku-2', 2, 450);
insert into payments (order_id, amount, method) values (1, 1290, 'test-visa'), (2, 900, 'test-visa');
grant select on all tables in schema public to prodcheck;
grant select, insert, update on all tables in schema public to shop;
grant connect on database shop to batch;
grant execute on function pg_hba_file_rules() to prodcheck;
grant select on pg_hba_file_rules to prodcheck;
"""
_PLAIN = "set intervalstyle = 'postgres'; set bytea_output = 'hex'; set search_path = 'pg_catalog'"
_TABLES = """\
select 'public.' || relname from pg_class
where relnamespace = 'public'::regnamespace and relkind = 'r' and relpersistence = 'p' order by 1"""
_HELD = "select count(*), coalesce(sum(hashtextextended((t.*)::text, 0)), 0)::text from only {} as t"


class Cluster:
    """Two nodes and the writer's entrance, which leads to the primary."""

    def __init__(
        self, place: Path, spawner: Spawner, entrances: tuple[LoadBalancer, LoadBalancer], writer: LoadBalancer,
        known: Secrets, tls: bool, programs: Path | None = None,
    ) -> None:  # fmt: skip
        self.folder = place / "pg"  # short, for the unix sockets' sake
        self.archive = self.folder / "archive"
        self.backups = self.folder / "backups"
        self.base = self.backups / "base-1"
        self.records, self.restore_record = self.folder / "records", self.folder / "restored.json"
        self.writer = writer
        self.spawner, self.known = spawner, known
        self._place, self._tls = place, tls
        self.programs = programs or postgres_programs()
        if spawner.user and not reachable(self.programs / "postgres"):
            copy = place / "programs"
            shutil.copytree(self.programs.parent, copy)
            self.programs = copy / self.programs.name
        self.nodes = tuple(
            Node(name, self.folder, self.programs, spawner, entrance)
            for name, entrance in zip(("db-1", "db-2"), entrances, strict=True)
        )
        self.primary, self.standby = self.nodes
        mode = "require" if tls else "disable"
        self.conninfo = f"host=127.0.0.1 user=replicator password={known.replicator} sslmode={mode}"

    def start(self) -> None:
        """Makes and starts everything; returns when the standby streams."""
        self.spawner.folder(self.folder)
        for each in (self.archive, self.backups, self.folder / "scratch"):
            self.spawner.folder(each)
        if self._tls:
            for name in ("postgres.pem", "postgres.key"):
                shutil.copy(self._place / name, self.folder / name)
                self.spawner.own(self.folder / name)
        first, second = self.nodes
        options = ["-D", str(first.data), "-U", "postgres", "-A", "scram-sha-256", "--auth-local=peer"]
        options += ["-N", "-k", "-E", "UTF8", "--locale=C", "--wal-segsize=1"]
        self.spawner.run([self.programs / "initdb", *options], self._place / "initdb.log")
        with (first.data / "postgresql.conf").open("a") as file:
            file.write(f"\ninclude '{SETTINGS}'\n")
        first.write("pg_hba.conf", self._access())
        first.write("pg_ident.conf", self._identities())
        for node in self.nodes:
            node.settings = self._settings()
        first.start()
        self._fill(first)
        first.entrance.set_mode("serve")
        self.lead_writer_to(first)
        self.writer.set_mode("serve")
        first.backup(self.base)
        self.record("base-1")
        self.spawner.run(["cp", "-a", self.base, second.data], self._place / "initdb.log")
        second.start(first, self.conninfo)
        second.entrance.set_mode("serve")
        self.wait_for_streaming()

    def _access(self) -> str:
        kind = "hostssl" if self._tls else "host"
        return (
            "local all         all        peer map=demo\n"
            "local replication postgres   peer map=demo\n"
            f"{kind} all         all        127.0.0.1/32 scram-sha-256\n"
            f"{kind} replication replicator 127.0.0.1/32 scram-sha-256\n"
        )

    def _identities(self) -> str:
        systems = {pwd.getpwuid(os.geteuid()).pw_name}
        if self.spawner.user:
            systems.add(self.spawner.user.pw_name)
        return "".join(f"demo {name} {role}\n" for name in sorted(systems) for role in ("postgres", "batch"))

    def _settings(self) -> dict[str, str]:
        settings = {
            "listen_addresses": "127.0.0.1", "max_connections": "103", "shared_buffers": "16MB", "huge_pages": "off",
            "fsync": "off", "wal_level": "replica", "max_wal_senders": "10", "wal_keep_size": "128MB",
            "archive_mode": "on", "archive_command": f'test ! -f "{self.archive}/%f" && cp %p "{self.archive}/%f"',
            "wal_retrieve_retry_interval": "200ms", "wal_receiver_status_interval": "1s", "hot_standby_feedback": "on",
            "password_encryption": "scram-sha-256", "jit": "off", "log_min_messages": "warning",
            "max_prepared_transactions": "10",
        }  # fmt: skip
        if self._tls:
            settings |= {
                "ssl": "on", "ssl_min_protocol_version": "TLSv1.2",
                "ssl_ciphers": "ECDHE+AESGCM:ECDHE+CHACHA20",
                "ssl_cert_file": str(self.folder / "postgres.pem"), "ssl_key_file": str(self.folder / "postgres.key"),
            }  # fmt: skip
        return settings

    def _fill(self, node: Node) -> None:
        from psycopg import sql

        with node.connect("postgres") as connection:
            roles = {"prodcheck": self.known.postgres, "shop": self.known.shop, "replicator": self.known.replicator}
            for name, password in roles.items():
                statement = sql.SQL("create role {} login password {}")
                connection.execute(statement.format(sql.Identifier(name), sql.Literal(password)))
            connection.execute("create role batch login")
            connection.execute("alter role replicator replication")
            connection.execute("grant pg_monitor to prodcheck")
            connection.execute("create database shop")
        with node.connect() as connection:
            connection.execute(SCHEMA + database_content.TABLES)
            for sku, price in database_content.PRICES.items():
                connection.execute("insert into products values (%s, %s, %s)", (sku, f"Product {sku}", price))
            connection.execute(database_content.ROWS + SEED + database_content.RIGHTS)
            if connection.info.server_version >= 140000:
                connection.execute(database_content.RIGHTS_14)
            for rank, (name, text) in enumerate(database_content.SCRIPTS.items(), 1):
                connection.execute(database_content.NOTE, database_content.row_of(rank, name, text))

    def record(self, label: str) -> None:
        """Does what a backup job does when the backup is done: writes down what the database holds, and where in WAL.

        Plain SQL, for every job can do it; `prodcheck record-backup` does the same where others write meanwhile.
        """
        with self.primary.connect() as connection:
            connection.execute(f"set datestyle = 'ISO, YMD'; set timezone = 'UTC'; {_PLAIN}")
            lsn = connection.execute("select pg_create_restore_point('prodcheck')").fetchone()[0]
            system = connection.execute("select system_identifier from pg_control_system()").fetchone()[0]
            tables = [row[0] for row in connection.execute(_TABLES).fetchall()]
            held = {each: connection.execute(_HELD.format(each)).fetchone() for each in tables}
            connection.execute("select pg_switch_wal()")
        record = {
            "format": "prodcheck-content/1", "system_identifier": str(system), "database": "shop",
            "taken_at": time.time(), "lsn": str(lsn),
            "tables": {name: {"rows": rows, "content": content} for name, (rows, content) in held.items()},
        }  # fmt: skip
        self.records.mkdir(exist_ok=True)
        (self.records / f"{label}.json").write_text(json.dumps(record))
        self.restored(days=1, system=str(system))

    def restored(self, days: float, good: bool = True, system: str = "") -> None:
        """Writes what the weekly restore job leaves, as of some days ago."""
        record = {
            "format": "prodcheck-restore/1", "label": "base-0", "restored_at": time.time() - days * 86400, "good": good,
            "wrong": [] if good else ["not recovered: PANIC: could not locate a valid checkpoint record"],
            "recovery_time": 41.5, "compared": 5,
            "system_identifier": system or str(self.primary.ask("select system_identifier from pg_control_system()")),
        }  # fmt: skip
        self.restore_record.write_text(json.dumps(record))

    def lead_writer_to(self, node: Node) -> None:
        """Points the writer's entrance at a node; sessions through it end."""
        self.writer.targets = [("127.0.0.1", node.port)]
        self.writer.drop()

    def change_standby(self, work: Callable[[Node], None]) -> None:
        """Does something to the files of the standby, which is stopped meanwhile."""
        self.primary.ask("checkpoint")
        self.wait_for_replay()
        self.standby.ask("checkpoint")  # or replay would begin before it and write the pages anew, without the change
        self.standby.stop()
        work(self.standby)
        self.standby.start(self.primary, self.conninfo)
        self.wait_for_streaming()

    def wait_for_streaming(self) -> None:
        """Waits until the standby streams from the primary."""
        sql = "select count(*) from pg_stat_replication where state = 'streaming' and application_name = %s"
        until(lambda: self.primary.ask(sql, self.standby.name), f"{self.standby.name} streams from {self.primary.name}")

    def wait_for_replay(self) -> None:
        """Waits until the standby shows what the primary has written."""
        # what lies half written at a page's end is flushed by a commit behind it, else only after up to 15 s
        self.primary.ask("select pg_logical_emit_message(true, 'demo', 'flush')")
        written = self.primary.ask("select pg_current_wal_flush_lsn()")
        until(
            lambda: self.standby.ask("select pg_last_wal_replay_lsn() >= %s::pg_lsn", written),
            f"{self.standby.name} catches up",
        )

    def follow(self) -> None:
        """Tells a running standby where its primary is, after that came back, and waits for it."""
        conninfo = f"{self.conninfo} port={self.primary.port} application_name={self.standby.name}"
        if self.standby.settings.get("primary_conninfo") != conninfo:
            self.standby.configure(primary_conninfo=conninfo)
        self.wait_for_streaming()

    def switch_over(self) -> None:
        """Swaps the roles as an operator would: clean stop, promotion, the old primary is rebuilt as the standby.

        Rebuilt, not only started: at its end it may have written a switch of WAL files that the standby never got.
        """
        self.wait_for_replay()
        self.primary.stop()
        self.standby.ask("select pg_promote(true, 10)")
        self.primary, self.standby = self.standby, self.primary
        self.primary.settings.pop("primary_conninfo", None)
        self.lead_writer_to(self.primary)
        self.standby.rebuild(self.primary, self.conninfo)
        self.wait_for_streaming()
