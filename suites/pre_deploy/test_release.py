"""One release: somebody else approved it, nothing forbids it now, what it needs is there, and there is a way back."""

from __future__ import annotations

from pytest_prodcheck import Limit, check, judge
from pytest_prodcheck.evidence.records import EvidenceProblem, Problem
from pytest_prodcheck.evidence.records.release import Approval, Change, DependencyAnswer
from pytest_prodcheck.evidence.records.rollback import PlanDocument, RollbackPlan, WayBack

AHEAD = 300.0  # seconds that two clocks may differ
SOON = Limit(warn="15m")  # what a gate's evidence may be old by default: so long it may be acted upon


@check("pre_deploy.approval", severity="critical", runbook="approval")
def test_somebody_else_let_it(change_approval: Approval) -> None:
    """The change record of this very release is approved by another than its author, in its window, in no freeze."""
    found, change = change_approval, change_approval.change
    _freezes(found, change)
    others = "; ".join(f"there is one of {each}" for each in found.changes[-3:]) or "there is none at all"
    wanted = f"revision {found.revision} of {found.units[0] or 'everything'} in {found.environment}"
    if judge(f"change record of {wanted}", change is not None, of=found.source, reason=others) and change is not None:
        _people(change)
        _times(found, change)


def _people(change: Change) -> None:
    """Nobody said no, and somebody other than the authors said yes."""
    authors = {each.casefold() for each in change.authors}
    for each in change.decisions:
        if each.said == "rejected":
            judge("nobody rejects it", False, of=each.by)
    yes = [each.by for each in change.decisions if each.said == "approved"]
    if judge("is approved", bool(yes), reason="nobody has approved it yet"):
        own = f"only {', '.join(sorted(set(yes)))} approved, whose own change it is"
        judge("is approved by another", any(each.casefold() not in authors for each in yes), reason=own)


def _times(found: Approval, change: Change) -> None:
    """Its window is open, or the approval is young enough; and no clock is wrong."""
    if change.begins is not None:
        ahead = f"it begins in {_for(change.begins - found.now)}"
        judge("its window has begun", change.begins <= found.now, reason=ahead)
    yes = [each.at for each in change.decisions if each.said == "approved"]
    times = [each for each in yes if each is not None]
    for at in times:
        judge("was approved before now", at <= found.now + AHEAD, reason=f"in {_for(at - found.now)}: a clock is wrong")
    if change.ends is not None:
        if judge("its window is open", found.now < change.ends, reason=f"it ended {_for(found.now - change.ends)} ago"):
            judge("its window stays open for", change.ends - found.now, at_least=SOON, unit="s")
    elif times:
        judge("was approved ago", max(found.now - max(times), 0.0), at_most=found.holds, unit="s")
    elif yes:
        what = "the change record says neither when its window ends nor when it was approved"
        raise EvidenceProblem(Problem("protocol", what, "give it a window"))


def _freezes(found: Approval, change: Change | None) -> None:
    for each in found.freezes:
        if each.excepted:
            judge("freeze does not concern it", True, of=each.name)
        elif each.begins > found.now:
            judge("freeze begins in", each.begins - found.now, at_least=SOON, unit="s", of=each.name)
        else:
            urgent = each.emergency and change is not None and change.emergency and bool(change.ticket)
            why = f"is on for another {_for(each.ends - found.now)}" + (f": {each.reason}" if each.reason else "")
            passes = f"; {change.ticket} passes as an emergency" if urgent and change is not None else ""
            judge("no freeze", False, of=each.name, reason=why + passes, warn_only=urgent)


def _for(seconds: float) -> str:
    return f"{seconds / 86400:.1f} days" if seconds > 172_800 else f"{seconds / 60:.0f} minutes"


@check(
    "pre_deploy.dependencies.*", severity="critical", limit=Limit(warn="1s", fail="5s"), runbook="dependencies"
)  # fmt: skip
def test_what_it_needs_answers(dependency: DependencyAnswer, limit: Limit) -> None:
    """What the environment cannot do without answers as it has to, and in time."""
    if judge("answers", dependency.answered, of=dependency.where, reason=dependency.reason):
        judge("time to answer", dependency.seconds, at_most=limit, unit="s", of=dependency.where)


@check("pre_deploy.rollback.plan", severity="medium", limit=Limit(fail="180d"), runbook="rollback-plan")
def test_there_is_a_way_back(rollback_plan: RollbackPlan, limit: Limit) -> None:
    """The plan is there, names the unit, and was looked at lately; the cluster keeps the version to go back to."""
    if rollback_plan.document is not None:
        _written(rollback_plan.document, rollback_plan.now, limit)
    for each in rollback_plan.ways:
        _kept(each)


def _written(document: PlanDocument, now: float, limit: Limit) -> None:
    if not judge("plan is there", document.there, of=document.source, reason="there is no such file"):
        return
    wanted = " or ".join(document.names)
    judge("names what it is for", document.named, of=document.source, reason=f"it does not name {wanted}")
    dated = document.dated is not None
    why = "it names no day, such as 2026-11-24, on which somebody looked at it"
    if judge("is dated", dated, of=document.source, reason=why) and document.dated is not None:
        judge("looked at", now - document.dated, at_most=limit, unit="s", of=document.source)


def _kept(way: WayBack) -> None:
    """Before its first deployment there is nothing to go back to, and nothing is wrong with that."""
    if way.revision == 0:
        judge("first deployment", True, of=way.workload)
        return
    judge("earlier versions that will be kept", way.limit, at_least=1, of=way.workload)
    gone = f"it is at version {way.revision}, and none before that is kept"
    judge("earlier versions are kept", way.revision == 1 or way.kept > 1, of=way.workload, reason=gone)
    tags = {each: each.rpartition("/")[2].partition(":")[2] for each in way.images if "@" not in each}
    loose = [each for each, tag in tags.items() if tag in ("", "latest")]
    judge("its images are those of a version", bool(way.images) and not loose, of=way.workload,
          reason=f"{', '.join(loose) or 'none is known'}: whatever is newest, also after going back")  # fmt: skip
