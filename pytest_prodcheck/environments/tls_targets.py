"""What of an environment speaks TLS: the targets of kind `tls`, and where each of them comes from.

Imports no pydantic: xdist workers read targets too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.sections.tls import TlsPolicy

NAMED = ("verify-full",)  # modes of libpq in which clients look at the name
ENCRYPTED = ("require", "verify-ca", "verify-full")  # modes of libpq in which TLS has to be there


def encrypted(environment: Environment) -> dict[str, tuple[str, str]]:
    """Target -> (key of the environment, name below it); declared servers last, as they may not hide the others.

    An HTTPS service has its own name, PostgreSQL and Redis have theirs with "postgres." and "redis." before it.
    """
    return dict(_names_with_sections(environment))


def duplicate_names(environment: Environment) -> list[str]:
    """The names of declared TLS servers that are another target's name already."""
    names = [target for target, (key, _) in _names_with_sections(environment) if key != "tls"]
    return [name for name in environment.tls if name in names]


def policy(environment: Environment, target: str) -> TlsPolicy:
    """What is expected of one target's TLS; raises KeyError for one that there is not."""
    key, name = encrypted(environment)[target]
    if key == "tls":
        return environment.tls[name]
    found: TlsPolicy | None = getattr(environment, key)[name].tls
    if found is None:
        raise KeyError(target)
    return found


def _names_with_sections(environment: Environment) -> list[tuple[str, tuple[str, str]]]:
    https = [name for name, each in environment.services.items() if each.speaks_http and each.url.startswith("https:")]
    clusters = [name for name, each in environment.postgres.items() if each.tls.mode in ENCRYPTED]
    groups = [name for name, each in environment.redis.items() if each.tls is not None]
    return [
        *((name, ("services", name)) for name in https),
        *((f"postgres.{name}", ("postgres", name)) for name in clusters),
        *((f"redis.{name}", ("redis", name)) for name in groups),
        *((name, ("tls", name)) for name in environment.tls),
    ]
