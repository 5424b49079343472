"""What prodcheck adds to pytest's JUnit file: JUnit has no word for warned or errored checks, these properties do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_prodcheck.outcomes import Outcome, Result, RunRecord, counts
from pytest_prodcheck.reports.escaping import safe
from pytest_prodcheck.reports.measurement_text import decisive, limit_text, value_text
from pytest_prodcheck.reports.verdict_documents import AnyVerdict, moment, status_of, views

if TYPE_CHECKING:
    import pytest
    from _pytest.junitxml import LogXML

_PREFIX = "prodcheck."


def properties(result: Result) -> list[tuple[str, str]]:
    """The properties of one result for `user_properties`; those without a value are left out."""
    judgement = decisive(result)
    named: list[tuple[str, object]] = [
        ("check", result.check),
        ("target", result.target),
        ("outcome", result.outcome),
        ("severity", result.severity),
        ("suite", result.suite),
        ("reason", result.reason if result.outcome is not Outcome.PASSED else ""),
        ("skip", result.skip or ""),
        ("what", judgement.what if judgement else ""),
        ("of", judgement.of if judgement else ""),
        ("value", value_text(judgement.value, judgement.unit) if judgement else ""),
        ("limit", limit_text(judgement, unicode=False)),
        ("gathered_at", moment(result.gathered_at)),
        ("evidence", ", ".join(result.evidence)),
        ("notes", "; ".join(result.notes)),
        ("runbook", result.runbook),
        ("owner", result.owner),
    ]
    return [(_PREFIX + name, safe(value)) for name, value in named if value not in ("", None)]


def suite_properties(run: RunRecord, verdicts: Iterable[AnyVerdict]) -> list[tuple[str, str]]:
    """The properties of the whole run: counts of each outcome, what it is about, and each gate's answer."""
    named: list[tuple[str, object]] = [(str(outcome), number) for outcome, number in counts(run.results).items()]
    named += [
        ("environment", run.environment),
        ("unit", run.unit),
        ("slot", run.slot),
        ("revision", run.revision),
        ("run", run.id),
        ("problems", len(run.problems)),
        ("interrupted", run.interrupted),
    ]
    for verdict in views(verdicts):
        name, code = f"gate.{verdict.text('gate')}", verdict.number("code")
        named += [(name, status_of(verdict) or "invalid"), (f"{name}.code", "" if code is None else int(code))]
    return [(_PREFIX + safe(name), safe(value)) for name, value in named if value != ""]


def name_class(config: pytest.Config, report: pytest.TestReport) -> None:
    """Gives a check that is named by its id its suite as class, which pytest takes from the path of a test.

    To be called before pytest's junitxml sees the first report of a test.
    """
    xml = _pytest_writer(config)
    if xml is not None and report.when == "setup" and "::" not in report.nodeid:
        xml.node_reporter(report).add_attribute("classname", report.nodeid.partition(".")[0])


def add_suite_properties(config: pytest.Config, run: RunRecord, verdicts: Iterable[AnyVerdict]) -> bool:
    """Adds them to the JUnit file of this run, returns whether one is written.

    To be called in the controller before pytest's junitxml writes its file: from a `tryfirst` pytest_sessionfinish.
    """
    xml = _pytest_writer(config)
    if xml is None:
        return False
    for name, value in suite_properties(run, verdicts):
        xml.add_global_property(name, value)
    return True


def _pytest_writer(config: pytest.Config) -> LogXML | None:
    """What pytest writes its JUnit file with; None where it writes none."""
    from _pytest.junitxml import xml_key  # what pytest's own `record_testsuite_property` uses; there is no public name

    return config.stash.get(xml_key, None)
