"""What reports show of the loads of a run: charts in HTML, lines in the terminal."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_prodcheck.evidence.gathering.store import EvidenceStore, SavedEvidence
    from pytest_prodcheck.records import Evidence
    from pytest_prodcheck.records.load import LoadRun, LoadStress
    from pytest_prodcheck.reports.load_charts import Stress

    Source = EvidenceStore | SavedEvidence


def charts(source: Source) -> str:
    """The charts of all load runs and searches for the knee, as HTML; "" where there are none."""
    runs = [*_records("load-run", source), *_light(source)]
    searches = list(_records("load-stress", source))
    if not runs and not searches:
        return ""
    from pytest_prodcheck.reports.load_charts import loads_html

    return loads_html(runs, [_to_stress(each) for each in searches])


def lines(source: Source, width: int) -> list[str]:
    """The lines about all load runs, for the terminal; [] where there are none."""
    runs = [*_records("load-run", source), *_light(source)]
    if not runs:
        return []
    from pytest_prodcheck.reports.load_table import load_lines

    return load_lines(runs, width)


def _light(source: Source) -> Iterator[LoadRun]:
    return (run for run in _records("load-latency", source) if run.mode == "light")


def _records(collector: str, source: Source) -> Iterator[Any]:
    from pytest_prodcheck.evidence.gathering.store import EvidenceStore

    for evidence in source.all() if isinstance(source, EvidenceStore) else _saved(collector, source):
        if evidence.collector == collector and evidence.record is not None:
            yield evidence.record


def _saved(collector: str, saved: SavedEvidence) -> Iterator[Evidence[Any]]:
    for key in saved.keys():  # noqa: SIM118 - a method, not a mapping
        if key.partition(":")[0] == collector:
            with suppress(EvidenceProblem):  # cannot be read: its checks say so
                yield saved.get(key)


def _to_stress(found: LoadStress) -> Stress:
    from pytest_prodcheck.judging.load_validity import knee_of
    from pytest_prodcheck.reports.load_charts import Stress

    levels = tuple((each.rate, each.p95) for each in found.steps)
    after = found.recovery
    recovered = None if after is None or after.p95 is None else (after.rate, after.p95)
    return Stress(found.run.name, found.own_rate, levels, found.p95_allowed, knee_of(found), recovered)
