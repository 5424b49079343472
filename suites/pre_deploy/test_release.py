"""One release: approved by somebody else, in no freeze; its dependencies answer; it has a rollback plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.records import EvidenceProblem, Problem

from ..clocks import AHEAD, FROM_THE_FUTURE

if TYPE_CHECKING:
    from pytest_prodcheck.records import (
        Approval,
        Change,
        DependencyAnswer,
        DeploymentHistory,
        PlanDocument,
        RollbackPlan,
    )

SOON = Limit(warn="15m")  # what a gate's evidence may be old by default: so long it may be acted upon


@check("pre_deploy.approval", severity="critical", runbook="approval",
       fixed={"time left of the window, and before a freeze": SOON, **FROM_THE_FUTURE})  # fmt: skip
def test_somebody_else_let_it(change_approval: Approval) -> None:
    """The change record of this release is approved by somebody other than its author, and no freeze is active."""
    found, change = change_approval, change_approval.change
    _freezes(found, change)
    wanted = f"revision {found.revision} of {found.units[0] or 'everything'} in {found.environment}"
    others = f", only for {'; '.join(map(str, found.changes[-3:]))}" if found.changes else ""
    why = f"there is no change record for {wanted}{others}"
    if judge("change record", change is not None, of=found.source, reason=why) and change is not None:
        _people(change)
        _times(found, change)


def _people(change: Change) -> None:
    """Nobody said no, and somebody other than the authors said yes."""
    for each in change.decisions:
        if each.said == "rejected":
            judge("approval", False, of=each.by, reason="the change was rejected")
    yes = [each.by for each in change.decisions if each.said == "approved"]
    if judge("approval", bool(yes), reason="nobody has approved the change yet"):
        own = f"only its author approved it ({', '.join(sorted(set(yes)))}); another person must approve it"
        judge("approval by another", bool(change.approvals), reason=own)


def _times(found: Approval, change: Change) -> None:
    """Its window is open, or the approval is young enough; and no clock is wrong."""
    if change.begins is not None:
        ahead = f"it begins in {_for(change.begins - found.now)}"
        judge("window", change.begins <= found.now, reason=ahead)
    yes = [each.at for each in change.approvals]
    times = [each for each in yes if each is not None]
    for at in times:
        late = f"it is dated {_for(at - found.now)} in the future: a clock is wrong"
        judge("time of the approval", at <= found.now + AHEAD, reason=late)
    if change.ends is not None:
        if judge("window", found.now < change.ends, reason=f"it ended {_for(found.now - change.ends)} ago"):
            judge("window is open for another", change.ends - found.now, at_least=SOON, unit="s")
    elif times:
        judge("age of the approval", max(found.now - max(times), 0.0), at_most=found.holds, unit="s")
    elif yes:
        what = "the change record says neither when its window ends nor when it was approved"
        raise EvidenceProblem(Problem("protocol", what, "add a window to the record"))


def _freezes(found: Approval, change: Change | None) -> None:
    for each in found.freezes:
        if each.excepted:
            judge("freeze", True, of=each.name)
        elif each.begins > found.now:
            judge("freeze begins in", each.begins - found.now, at_least=SOON, unit="s", of=each.name)
        else:
            urgent = each.lets_pass(change)
            why = f"the freeze lasts another {_for(each.ends - found.now)}" + (
                f": {each.reason}" if each.reason else ""
            )
            passes = f"; {change.ticket} passes as an emergency" if urgent and change is not None else ""
            judge("freeze", False, of=each.name, reason=why + passes, warn_only=urgent)


def _for(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"


@check(
    "pre_deploy.dependencies.*", severity="critical", limit=Limit(warn="1s", fail="5s"), runbook="dependencies"
)  # fmt: skip
def test_what_it_needs_answers(dependency: DependencyAnswer, limit: Limit) -> None:
    """Dependencies of the environment answer correctly and in time."""
    if judge("answer", dependency.answered, of=dependency.where, reason=dependency.reason):
        judge("time to answer", dependency.seconds, at_most=limit, unit="s", of=dependency.where)


@check("pre_deploy.rollback.plan", severity="medium", limit=Limit(fail="180d"), runbook="rollback-plan")
def test_there_is_a_way_back(rollback_plan: RollbackPlan, limit: Limit) -> None:
    """The rollback document names the unit and was reviewed recently; the cluster keeps the old version."""
    if rollback_plan.document is not None:
        _written(rollback_plan.document, rollback_plan.now, limit)
    for each in rollback_plan.ways:
        _kept(each)


def _written(document: PlanDocument, now: float, limit: Limit) -> None:
    if not judge("plan", document.there, of=document.source, reason="there is no such file"):
        return
    wanted = " or ".join(document.names)
    judge("plan", document.named, of=document.source, reason=f"it does not name {wanted}")
    dated = document.dated is not None
    why = "the plan has no date of its last review, such as 2026-11-24"
    if judge("plan", dated, of=document.source, reason=why) and document.dated is not None:
        judge("age", now - document.dated, at_most=limit, unit="s", of=document.source)


def _kept(way: DeploymentHistory) -> None:
    """Before its first deployment there is nothing to go back to, and nothing is wrong with that."""
    if way.revision == 0:
        judge("first deployment", True, of=way.workload)
        return
    judge("earlier versions that will be kept", way.limit, at_least=1, of=way.workload)
    gone = f"the workload is at version {way.revision}, and no earlier version is kept"
    judge("earlier versions", way.revision == 1 or way.kept > 1, of=way.workload, reason=gone)
    tags = {each: each.rpartition("/")[2].partition(":")[2] for each in way.images if "@" not in each}
    loose = [each for each, tag in tags.items() if tag in ("", "latest")]
    judge("images", bool(way.images) and not loose, of=way.workload,
          reason=(f"{', '.join(loose) or 'none is known'}: without a fixed tag or "
              "digest, a rollback starts the newest image"))  # fmt: skip
