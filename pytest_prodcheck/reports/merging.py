"""Several runs as one, to be shown together: the shards of a pipeline. No gate is asked or opened by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_prodcheck.outcomes import PlannedCheck, Result, RunRecord
from pytest_prodcheck.reports.measurement_text import rank
from pytest_prodcheck.reports.saved_runs import NoSuchRun
from pytest_prodcheck.reports.verdict_documents import View, views

_SAME = ("project", "environment", "unit", "slot", "revision", "vantage")


def merged(runs: Sequence[RunRecord]) -> RunRecord:
    """One record of all; the worst result counts where two runs judged the same. Raises NoSuchRun for unlike runs."""
    first, *others = runs
    for each in others:
        for name in _SAME:
            if getattr(each, name) != getattr(first, name):
                sides = f"{getattr(first, name) or 'none'} and {getattr(each, name) or 'none'}"
                raise NoSuchRun(f"runs {first.id} and {each.id} are of different {name}s: {sides}")
    if not others:
        return first
    results: dict[tuple[str, str], Result] = {}
    planned: dict[tuple[str, str], PlannedCheck] = {}
    for run in runs:
        for result in run.results:
            known = results.get(result.identity)
            if known is None or rank(result.outcome) < rank(known.outcome):
                results[result.identity] = result
        planned |= {(each.check, each.target): each for each in run.planned}
    return replace(
        first,
        id="+".join(each.id for each in runs),
        started_at=min(each.started_at for each in runs),
        ended_at=max(each.ended_at for each in runs),
        results=tuple(results.values()),
        planned=tuple(planned.values()),
        known=_union(each.known for each in runs),
        targets=_merged_tables([each.targets for each in runs]),
        places={name: place for each in runs for name, place in each.places.items()},
        undeclared=_union(each.undeclared for each in runs),
        limits_off=_union(each.limits_off for each in runs),
        unverified=_union(each.unverified for each in runs),
        opted_in=_union(each.opted_in for each in runs),
        replay_of="+".join(dict.fromkeys(filter(None, (each.replay_of for each in runs)))),
        waited=max(each.waited for each in runs),
        problems=tuple(dict.fromkeys(problem for each in runs for problem in each.problems)),
        interrupted="; ".join(dict.fromkeys(filter(None, (each.interrupted for each in runs)))),
    )


def merged_verdicts(verdicts: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """The worst verdict of each gate."""
    found: dict[str, View] = {}
    for each in views(verdicts):  # the worst first
        found.setdefault(each.raw("gate"), each)
    return [each.data for each in found.values()]


def _union(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({name for each in lists for name in each}))


def _merged_tables(tables: Sequence[Mapping[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    names = dict.fromkeys(kind for each in tables for kind in each)
    return {kind: tuple(sorted({name for each in tables for name in each.get(kind, ())})) for kind in names}
