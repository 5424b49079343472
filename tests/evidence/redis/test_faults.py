"""Three real Sentinels over a real group: what they tell is what a failover would come to."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.evidence.redis import sentinels as collector
from pytest_prodcheck.judging.ledger import Ledger
from pytest_prodcheck.records.stores import RedisSentinels
from tests.evidence.contexts import context, gather
from tests.evidence.redis.topologies import Server, servers, until
from tests.faults.elsewhere import Fault
from tests.judged import judged


class Watched:
    """A primary with two replicas, and three Sentinels that call it "shop"; two of them have to find it down."""

    def __init__(self, folder: Path, nodes: list[Server]) -> None:
        self.nodes = nodes
        for node in nodes[1:]:
            node.do("REPLICAOF", "127.0.0.1", nodes[0].port)
        for node in nodes[1:]:
            until(lambda node=node: node.info("replication")["master_link_status"] == "up")  # type: ignore[misc]
        watch = (f"sentinel monitor shop 127.0.0.1 {nodes[0].port} 2", "sentinel down-after-milliseconds shop 700",
                 "sentinel failover-timeout shop 60000")  # fmt: skip
        self.sentinels: list[Server] = []
        for _ in range(3):
            self.sentinels.append(Server(folder, *watch, sentinel=True))
        self.settle()

    def settle(self) -> None:
        """Until every Sentinel knows the others, and the nodes."""
        for each in self.sentinels:
            until(lambda each=each: b"OK 3" in str(each.do("SENTINEL", "CKQUORUM", "shop")).encode(), 40)  # type: ignore[misc]
            until(lambda each=each: self.master(each)["num-slaves"] in (2, "2"), 40)  # type: ignore[misc]
            until(lambda each=each: str(self.master(each)["flags"]) == "master", 40)  # type: ignore[misc]

    def master(self, sentinel: Server) -> dict[str, Any]:
        told = sentinel.do("SENTINEL", "MASTER", "shop")
        return told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))

    def look(self, **changes: Any) -> RedisSentinels:
        sentinels = {"nodes": [each.at for each in self.sentinels], "name": "shop", **changes.pop("sentinels", {})}
        settings = {"nodes": [each.at for each in self.nodes], "expect": {"primaries": 1, "replicas": 2},
                    "timeout": "1s", "sentinels": sentinels, **changes}  # fmt: skip
        found = gather("redis-sentinels", "x", context(redis={"x": settings}))
        assert isinstance(found, RedisSentinels)
        return found

    def said(self, **changes: Any) -> str:
        """The outcome, and every reason."""
        from suites.smoke.test_redis_sentinels import test_sentinels_can_fail_over

        ledger: Ledger = judged(test_sentinels_can_fail_over, self.look(**changes))
        reasons = [f"{each.reason}" for each in ledger.judgements if str(each.outcome) != "passed"]
        return f"{ledger.outcome}: {'; '.join(reasons)}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with servers(folder, (), (), ()) as nodes:
        made = Watched(folder, nodes)
        try:
            yield made
        finally:
            for each in made.sentinels:
                each.end()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "PASSES", 0.0)


@contextlib.contextmanager
def stopped(*them: Server) -> Iterator[None]:
    for each in them:
        each.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in them:
            each.process.send_signal(signal.SIGCONT)


def test_all_is_well(watched: Watched) -> None:
    assert watched.said() == "passed: "
    told = watched.look().sentinels[0]
    assert (told.primary, told.flags, told.quorum, told.known) == (watched.nodes[0].at, ("master",), 2, 3)
    assert sorted(each.address for each in told.replicas) == sorted(each.at for each in watched.nodes[1:])


@pytest.mark.usefixtures("impatient")
def test_a_name_that_they_do_not_watch(watched: Watched) -> None:
    said = watched.said(sentinels={"name": "cart"})
    assert said.startswith("failed")
    assert "No such master" in said


@pytest.mark.usefixtures("impatient")
def test_a_replica_that_nobody_declared(watched: Watched) -> None:
    """Sentinel remembers replicas for ever; who promotes one of another group serves its data."""
    said = watched.said(nodes=[each.at for each in watched.nodes[:2]], expect={"primaries": 1, "replicas": 1})
    assert said.startswith("warned")
    assert watched.nodes[2].at in said


@pytest.mark.usefixtures("impatient")
def test_a_group_whose_primary_is_another(watched: Watched, tmp_path: Path) -> None:
    """Clients are sent to a primary that is not the declared one, while both groups are well."""
    with servers(tmp_path, ()) as (other,):
        said = watched.said(nodes=[other.at], expect={"primaries": 1, "replicas": 0})
    assert said.startswith("failed")
    assert f"it sends clients to {watched.nodes[0].at}, which is no declared primary" in said


def test_a_user_with_few_rights(watched: Watched) -> None:
    for each in watched.sentinels:
        each.do("ACL", "SETUSER", "watcher", "on", ">secret", "+ping", "+info")
    login = {"user": "watcher", "password": {"file": "secret"}}
    said = watched.said(sentinels=login)
    assert said.startswith("errored")
    assert "+sentinel|master" in said
    for each in watched.sentinels:
        each.do("ACL", "SETUSER", "watcher", "+sentinel|master", "+sentinel|replicas", "+sentinel|ckquorum")
    assert watched.said(sentinels=login) == "passed: "


@pytest.mark.usefixtures("impatient")
def test_a_failover_that_does_not_end(watched: Watched) -> None:
    """The replica that was chosen hangs: clients are still sent to the old primary."""
    alone = watched.sentinels[0]
    with stopped(*watched.nodes[1:]):
        until(lambda: alone.do("SENTINEL", "FAILOVER", "shop"), 15)
        said = watched.said()
    assert said.startswith("failed")
    assert "a failover is in progress" in said


def _no_primary(watched: Watched) -> None:
    """The primary hangs, and no replica may take over."""
    for node in watched.nodes:
        node.do("CONFIG", "SET", "replica-priority", 0)
    port = str(watched.master(watched.sentinels[0])["port"])
    next(node for node in watched.nodes if str(node.port) == port).process.send_signal(signal.SIGSTOP)


CHECK = "smoke.redis.sentinels"
# one after the other, each on top of those before; what is said of each
FAULTS = (
    Fault("sentinel-gone", lambda watched: watched.sentinels[2].end(), {CHECK: "warned"}),
    Fault("sentinels-without-a-primary", _no_primary, {CHECK: "failed"}),
    Fault("sentinels-without-a-majority", lambda watched: watched.sentinels[1].process.send_signal(signal.SIGSTOP),
          {CHECK: "failed"}),
)  # fmt: skip
SAID = (("connection refused",), ("(o_down)", "have a priority above 0"), ("NOQUORUM",))


@pytest.mark.usefixtures("impatient")
def test_a_group_that_ends_bit_by_bit(watched: Watched) -> None:
    """One Sentinel of three gone: a failover still gets the votes. Then none is possible, at last nobody sees to it."""
    for fault, words in zip(FAULTS, SAID, strict=True):
        fault.make(watched)
        wanted = (fault.outcomes[CHECK], *words)
        until(lambda wanted=wanted: all(each in watched.said() for each in wanted), 40)  # type: ignore[misc]
