"""Redis groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pytest_prodcheck.environments.kinds import EnvironmentView, Kind, Target
from pytest_prodcheck.environments.rules.common import nodes, tls_files
from pytest_prodcheck.environments.sections.base import Address, Count, Name, Seconds, SecretRef, Section
from pytest_prodcheck.environments.sections.tls import TlsPolicy, Trust

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment
    from pytest_prodcheck.environments.toml.error_collector import Complaint


class RedisTls(TlsPolicy, Trust):
    """TLS of Redis: on when the section is there; checked against `ca` or the system's CAs."""

    # ports of the same hosts on which nobody may speak Redis without TLS; the nodes' own ports are looked at anyway
    plain_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (6379,)


class RedisExpect(Section):
    """How many of the nodes have each role."""

    primaries: Count = 1  # nodes that take writes
    replicas: Count = 0  # nodes that follow one


class RedisSentinels(Section):
    """The Sentinels that watch a group, and send its clients to the primary; with TLS where the group has it."""

    nodes: Annotated[tuple[Address, ...], Field(min_length=1)]  # "HOST:PORT" of every Sentinel
    name: str  # how they call the group: `sentinel monitor NAME …`
    user: str | None = None  # ACL user there: +ping +info +sentinel|master +sentinel|replicas +sentinel|ckquorum
    password: SecretRef | None = None  # where its password lies; none where left out


class Redis(Section):
    """One group of Redis nodes that hold the same data."""

    nodes: Annotated[tuple[Address, ...], Field(min_length=1)]  # "HOST:PORT" of every node
    expect: RedisExpect = RedisExpect.model_construct()  # how many nodes of each role there must be
    user: str | None = None  # ACL user; the default user where left out
    password: SecretRef | None = None  # where its password lies; none where left out
    tls: RedisTls | None = None  # TLS, where the section is there; plain connections where left out
    sentinels: RedisSentinels | None = None  # the Sentinels that watch it; they are judged where the section is there
    persistence: bool | None = None  # true: must be on; false: must be off; left out: judged only where it is on
    # true: a primary is asked what a write would be answered, by SET of a key that is not there, with XX, which changes
    # nothing; a user with an ACL needs +set ~prodcheck:* for it. false: smoke.redis.writes is skipped
    try_writes: bool = True
    timeout: Seconds = 5.0  # for one node, from connecting to the last answer
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts


def _targets(looking: EnvironmentView) -> Iterator[Target]:
    for name, redis in looking.environment.redis.items():
        features = frozenset({"replicas"} if redis.expect.replicas else ())
        features |= {"sentinels"} if redis.sentinels else set()
        features |= {"writes"} if redis.try_writes and redis.expect.primaries else set()
        yield Target("redis", name, features, *looking.reach(redis.vantage), owner=redis.owner)


def _rules(environment: Environment, root: Path) -> Iterator[Complaint]:
    for name, redis in environment.redis.items():
        path, expect = ("redis", name), redis.expect
        yield from tls_files((*path, "tls"), redis.tls, root)
        yield from nodes(path, redis.nodes, {"primaries": expect.primaries, "replicas": expect.replicas})
        if redis.sentinels is not None:
            yield from nodes((*path, "sentinels"), redis.sentinels.nodes, {})


KINDS = (
    Kind(section="redis", awaited={"redis": ("redis-group",)}, targets=_targets, rules=_rules, brings=("tls",)),
)
