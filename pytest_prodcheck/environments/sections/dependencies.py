"""Dependencies of an environment, internal and third-party: names, ports, addresses, stores."""

from __future__ import annotations

from typing import Any

from pytest_prodcheck.environments.kinds import Kind
from pytest_prodcheck.environments.listing.release import dependency_targets, tcp_path
from pytest_prodcheck.environments.rules.release import dependency_complaints
from pytest_prodcheck.environments.sections.base import Address, Name, Seconds, Section, Statuses
from pytest_prodcheck.environments.sections.services import Url


class Dependency(Section):
    """A dependency of this environment, internal or third-party: exactly one of the first five keys."""

    dns: str | None = None  # name that has to resolve
    tcp: Address | None = None  # "HOST:PORT" that has to accept a connection
    http: Url | None = None  # address that has to answer a GET
    postgres: Name | None = None  # cluster of `postgres` whose writer has to answer
    redis: Name | None = None  # group of `redis` whose primary has to answer
    expect: tuple[str, ...] = ()  # addresses that the name has to have, all of them
    status: Statuses | None = None  # what `http` may answer, one or several; 200 to 399 where left out
    ca: str | None = None  # file with the CA certificates that `http` is trusted by (PEM); else the system's
    timeout: Seconds = 5.0  # for one answer
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts

    def model_post_init(self, _context: Any) -> None:
        """Refuses none or several kinds at once, and keys of another kind."""
        kinds = (self.dns, self.tcp, self.http, self.postgres, self.redis)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError('expected exactly one of `dns`, `tcp`, `http`, `postgres`, `redis`, such as http = "URL"')
        if self.http is None and (self.status is not None or self.ca is not None):
            raise ValueError("`status` and `ca` are allowed with `http` only")
        if self.expect and self.dns is None:
            raise ValueError("`expect` lists the addresses of a name: it is allowed with `dns` only")


KINDS = (
    Kind(
        section="dependencies",
        awaited={"dns": ("dns-name",), "tcp": ("tcp-port",), "dependency": ()},
        targets=dependency_targets,
        rules=dependency_complaints,
        paths={"tcp": tcp_path},
    ),
)
