"""What has to fit together in what speaks TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.environments.rules.common import tls_files, unknown_name
from pytest_prodcheck.environments.tls_targets import duplicate_names, encrypted, policy
from pytest_prodcheck.environments.toml.error_collector import Complaint

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment


def tls_complaints(environment: Environment, root: Path) -> Iterator[Complaint]:
    """Everything about declared TLS servers, and the limits of whatever speaks TLS."""
    for name, server in environment.tls.items():
        path = ("tls", name)
        yield from tls_files(path, server, root)
        if server.key and not server.certificate:
            yield (*path, "key"), "`key` needs `certificate`", ""
        if server.unit is not None:
            yield from unknown_name((*path, "unit"), server.unit, environment.units, "unit")
    for name in duplicate_names(environment):
        yield ("tls", name), f"{name} is checked already: a service or store has this name", "rename it"
    for target in encrypted(environment):
        expiry, (key, name) = policy(environment, target).expiry, encrypted(environment)[target]
        if expiry.fail > expiry.warn:
            below = ("tls", name) if key == "tls" else (key, name, "tls")
            yield (*below, "expiry", "fail"), "`fail` is reached before `warn`", ""
