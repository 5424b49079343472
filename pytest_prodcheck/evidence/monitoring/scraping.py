"""The jobs that rules rest on: whether their targets are up, or their series are pushed to where others scrape them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.monitoring import external_labels, prometheus
from pytest_prodcheck.evidence.monitoring.selectors import selectors
from pytest_prodcheck.records.monitoring import ScrapedJob

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

_JOB = re.compile(r'\bjob\s*=\s*"([^"\\]+)"')
LATELY = "2m"  # a target whose last scrape failed may just have been restarted


def jobs(
    declared: tuple[str, ...] | None, queries: Iterable[str], context: Context, deadline: Deadline
) -> tuple[ScrapedJob, ...]:
    """The jobs that are declared, or that the rules and those that record for them name, with their targets."""
    if declared is not None:
        return _scraped(declared, context, deadline)
    asked = tuple(queries)
    found = _scraped(tuple(dict.fromkeys(job for each in asked for job in _JOB.findall(each))), context, deadline)
    return tuple(_pushed(each, asked, context, deadline) if not each.up + each.down else each for each in found)


def _scraped(names: tuple[str, ...], context: Context, deadline: Deadline) -> tuple[ScrapedJob, ...]:
    if not names:
        return ()
    wanted = external_labels.quoted("|".join(map(re.escape, names)))
    now = f"up{{job=~{wanted}}}"  # targets that are looked at no more are not in it, within two minutes or not
    query = f"(max_over_time({now}[{LATELY}]) and {now}) or {now}"  # some are scraped every four minutes
    asked = prometheus.prometheus(context, deadline).vector(query, "targets", deadline)
    found = [each for each in asked if external_labels.is_ours(each.labels, context)]
    values = {name: [each.value for each in found if each.labels.get("job") == name] for name in names}
    return tuple(ScrapedJob(name, up := values[name].count(1.0), len(values[name]) - up) for name in names)


def _pushed(job: ScrapedJob, queries: Iterable[str], context: Context, deadline: Deadline) -> ScrapedJob:
    """A job without any target has series all the same where a Pushgateway or an OTLP client brings them."""
    mine = {each.text for query in queries for each in selectors(query)
            if each.name != "up" and job.name in _JOB.findall(each.text)}  # fmt: skip
    if not mine:
        return job
    asked = " or ".join(f"count({each})" for each in sorted(mine))
    there = prometheus.prometheus(context, deadline).vector(asked, f"series of job {job.name}", deadline)
    return ScrapedJob(job.name, 0, 0, pushed=bool(there))
