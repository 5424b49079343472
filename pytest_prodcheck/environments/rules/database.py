"""What has to fit together in PostgreSQL clusters: nodes, backups, what is declared about their data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.rules.backups import backup_complaints
from pytest_prodcheck.environments.rules.common import nodes, tls_files
from pytest_prodcheck.environments.toml.error_collector import Complaint

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment

_ID = re.compile(r"[a-z0-9][a-z0-9_-]*\Z")
TAKEN = ("orphans", "freshness")  # checks of their own: data_integrity.rows.NAME


def postgres_complaints(environment: Environment, root: Path) -> Iterator[Complaint]:
    """Everything about the clusters of one environment."""
    for name, postgres in environment.postgres.items():
        path, expect = ("postgres", name), postgres.expect
        yield from tls_files((*path, "tls"), postgres.tls, root)
        yield from nodes(path, postgres.nodes, {"primaries": expect.primaries, "standbys": expect.standbys})
        if (expect.synchronous or 0) > expect.standbys:
            yield (*path, "expect", "synchronous"), "more synchronous standbys than standbys are expected", ""
        yield from backup_complaints(path, postgres, root)
    yield from _data(environment)


def _data(environment: Environment) -> Iterator[Complaint]:
    """Names of invariants become ids of checks; a standby that is read on has to be there."""
    seen: dict[str, str] = {}
    for cluster, postgres in environment.postgres.items():
        for name in postgres.invariants:
            path = ("postgres", cluster, "invariants", name)
            if not _ID.match(name):
                yield path, "the name becomes part of a check id: use lower-case letters, digits, - and _", ""
            if name in TAKEN:
                yield path, f"data_integrity.rows.{name} is a bundled check", "give it another name"
            if name in seen:
                yield path, f"postgres {seen[name]} has an invariant with the same name", "give it another name"
            seen[name] = cluster
        if postgres.read_on == "standby" and not postgres.expect.standbys:
            text = "long queries run on a standby, but no standby is expected"
            yield ("postgres", cluster, "read_on"), text, "set the number in expect.standbys"
