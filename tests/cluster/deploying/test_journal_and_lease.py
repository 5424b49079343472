"""The journal in a ConfigMap and the lock by a Lease: killed, replaced, written by others, without a key."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_prodcheck.deploy import lease as lease_module
from pytest_prodcheck.deploy.cluster_journal import ClusterJournal, ClusterStore
from pytest_prodcheck.deploy.deployer import plan_entry
from pytest_prodcheck.deploy.deployment import Deployment, DeployOptions
from pytest_prodcheck.deploy.journal import DeploymentInProgress, JournalDamaged
from pytest_prodcheck.deploy.lease import Lease, LeaseTaken
from pytest_prodcheck.deploy.plan import PlanProblem
from pytest_prodcheck.deploy.strategies import make_plan
from tests.cluster.deploying.site import (
    JOURNALS,
    LEASES,
    ROUTE,
    Site,
    abandoned,
    bound,
    wait_for,
    weights,
)
from tests.cluster.front import Front
from tests.deploy.model import Killed, Quiet


@pytest.mark.parametrize("verb", ["resume", "undo"])
def test_killed_half_way_and_gone_on_by_another_runner(verb: str, site: Site) -> None:
    def kill(slot: str) -> None:
        if weights(site.plane) == [90, 10]:
            site.at = lambda slot: None
            raise Killed

    site.at = kill
    with pytest.raises(Killed):
        site.deploy("r2", "route")
    abandoned(site)
    made = site.made()
    wait_for(lambda: made.status() == 21)  # 23 until the Lease is over
    assert {"resume": made.resume, "undo": made.undo}[verb]() == {"resume": 0, "undo": 20}[verb], site.lines()
    assert weights(site.plane) == {"resume": [0, 100], "undo": [100, 0]}[verb]


def test_a_second_deployer_and_one_that_was_replaced(site: Site) -> None:
    codes: list[object] = []
    first: list[Deployment] = []

    def second(slot: str) -> None:
        if slot == "green" and not codes:
            os.rename(site.folder / ".prodcheck", site.folder / "elsewhere")  # another runner has no lock of this one
            made = site.made("r3")
            codes.append(made.status())
            with pytest.raises(DeploymentInProgress):
                made.deploy("a test", None, "")
            shutil.rmtree(site.folder / ".prodcheck", ignore_errors=True)
            os.rename(site.folder / "elsewhere", site.folder / ".prodcheck")
            (lease,) = site.plane.get(LEASES)["items"]
            taken = {"spec": {"holderIdentity": "another", "leaseDurationSeconds": 60}}
            site.plane.patch(f"{LEASES}/{lease['metadata']['name']}", taken)
            lease_of_first = first[0].store._lease  # type: ignore[attr-defined]
            wait_for(lambda: lease_of_first._valid_until == (0.0, 0.0))  # until it has looked at its Lease
            generation = site.plane.get(ROUTE)["metadata"]["generation"]
            codes.append(generation)

    site.at = second
    first.append(site.made("r2", "route"))
    with pytest.raises(DeploymentInProgress):
        first[0].deploy("a test", None, "")
    assert codes[0] == 23
    assert site.plane.get(ROUTE)["metadata"]["generation"] == codes[1], "it acted after it was replaced"


def test_a_migration_of_a_deployer_that_was_replaced_is_ended(site: Site) -> None:
    """Its successor, on another machine, begins with the same migrations."""
    (site.folder / "slow.sh").write_text("(sleep 30; touch applied) & touch began; wait\n")
    made = site.made("r2", "selector")
    path = site.folder / "prodcheck.toml"
    migrations = 'migrations = { pending = ["echo", "expand one"], run = ["sh", "slow.sh", "{phase}"] }\n'
    path.write_text(path.read_text() + migrations)
    made = type(made)(DeployOptions("production", revision="r2"), site.folder, site.reporter)

    def replace() -> None:
        wait_for((site.folder / "began").exists)
        (lease,) = site.plane.get(LEASES)["items"]
        taken = {"spec": {"holderIdentity": "another", "leaseDurationSeconds": 60}}
        site.plane.patch(f"{LEASES}/{lease['metadata']['name']}", taken)

    began = time.monotonic()
    with ThreadPoolExecutor(1) as threads:
        replacing = threads.submit(replace)
        with pytest.raises(DeploymentInProgress):
            made.deploy("a test", None, "")
        replacing.result()
    assert time.monotonic() - began < 25
    assert "another deployment took over" in site.lines()
    assert not (site.folder / "applied").exists()


def test_a_lease_is_taken_only_when_nobody_renews_it(site: Site) -> None:
    first, second = Lease(site.cluster(), "one"), Lease(site.cluster(), "one")
    first.acquire()
    with pytest.raises(LeaseTaken):
        second.acquire()
    first.ensure_held()
    first.release()
    second.acquire()
    second.ensure_held()
    with pytest.raises(LeaseTaken):
        first._renew()
    second.release()


def test_a_journal_that_somebody_else_writes(site: Site) -> None:
    store = ClusterStore(str(site.folder), "production", "", site.cluster(), 20, ["shop-blue"])
    key = store.key()
    assert key is not None
    journal = store.new(key)
    journal.add("planned")
    assert isinstance(journal, ClusterJournal)
    name = f"{JOURNALS}/{journal.name}"
    site.plane.patch(name, {"metadata": {"annotations": {"noted": "x"}}})
    journal.add("approved")  # what is kept is the same
    site.plane.patch(name, {"data": {"journal": ""}})
    with pytest.raises(JournalDamaged):
        journal.add("going")
    for left in ("nonsense\n", "", None):
        site.plane.patch(name, {"data": {"journal": left}})
        with pytest.raises(JournalDamaged):
            store.newest(key)


def test_old_journals_are_removed_but_none_that_has_not_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ClusterStore(str(site.folder), "production", "", site.cluster(), 2, ["shop-blue"])
    key = store.key()
    assert key is not None
    plan = make_plan(
        site.made("", "route").settings, site.driver("route").observe(), environment="production", unit="",
        revision="r2",
    )  # fmt: skip
    ends = ("done", "closed", "person", "done", "closed", "closed", "closed", "damaged")
    for end in ends:
        journal = store.new(key)
        assert isinstance(journal, ClusterJournal)
        journal.add("planned", **plan_entry(plan))
        if end not in ("closed", "damaged"):
            journal.add("begun", step=1)
        if end == "damaged":
            site.plane.patch(f"{JOURNALS}/{journal.name}", {"data": {"journal": "nonsense\n"}})
        else:
            journal.add(end, why="")
    assert store.prune(key) == ""
    assert store._numbers() == [3, 4, 6, 7, 8]  # a person's, the one to be undone, two that ended, a damaged one
    assert store.prune(key) == ""
    role = next(each for each in bound() if each["kind"] == "Role")
    for rule in role["rules"]:
        rule["verbs"] = [verb for verb in rule["verbs"] if verb != "delete"]
    site.grant(role)
    store._kept_count = 1
    assert "cannot delete resource" in store.prune(key)
    assert store._numbers() == [3, 4, 6, 7, 8]
    site.grant(*bound())


def test_without_a_key_that_outlives_the_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRODCHECK_KEY")
    with pytest.raises(PlanProblem, match="PRODCHECK_KEY") as error:
        site.deploy("r2", "route")
    assert error.value.code == 2


def test_a_renewal_is_a_write_also_where_somebody_noted_something(site: Site) -> None:
    lease, path = Lease(site.cluster(), "one"), f"{LEASES}/one"
    lease.acquire()
    site.plane.patch(path, {"metadata": {"annotations": {"noted": "x"}}})
    before = site.plane.get(path)["spec"]["renewTime"]
    with lease._lock:
        lease._renew()
    assert site.plane.get(path)["spec"]["renewTime"] > before
    lease.release()
    assert site.plane.get(path)["spec"]["holderIdentity"] == ""


def test_a_lease_is_not_given_back_for_minutes(site: Site, fronted: Front) -> None:
    lease = Lease(site.cluster(), "one")
    lease._cluster.patience = 300.0
    lease.acquire()
    fronted.trouble = ["hang"] * 9
    began = time.monotonic()
    lease.release()
    assert time.monotonic() - began < 20


def test_the_same_copies_under_another_name_are_locked_too(site: Site, tmp_path: Path) -> None:
    """Another checkout calls the environment by another name: one route, one lock."""
    site.made("r2", "route")
    other = tmp_path / "other"
    other.mkdir()
    text = (site.folder / "prodcheck.toml").read_text().replace("environments.production", "environments.live")
    (other / "prodcheck.toml").write_text(text)
    shutil.copy(site.folder / "deployer.kubeconfig", other)
    with site.made().store.locked(), pytest.raises(DeploymentInProgress):
        Deployment(DeployOptions("live", revision="r2"), other, Quiet()).deploy("a test", None, "")


@pytest.mark.parametrize("clock", [0, 1])
def test_a_lease_of_a_machine_that_slept_is_renewed_before_anything_is_done(
    clock: int, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock stands still meanwhile (clock_gettime(2)), and nobody renewed it. The clocks are played."""
    site.made("r2", "route")
    lease = Lease(site.cluster(), "sleeps")
    lease.acquire()
    lease._stopped.set()  # asleep: its thread renews nothing
    site.plane.patch(f"{LEASES}/sleeps", {"spec": {"holderIdentity": "another"}})
    lease.ensure_held()  # no clock says that it is over
    slept = tuple(each + (60 if number == clock else 0) for number, each in enumerate(lease_module._clocks()))
    monkeypatch.setattr(lease_module, "_clocks", lambda: slept)
    with pytest.raises(LeaseTaken):
        lease.ensure_held()
