"""A saved run as a JUnit file, whose test names are check and target; pytest's own names tests by their functions."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from pytest_prodcheck.outcomes import NO_TARGET, Outcome, Result, RunRecord, counts
from pytest_prodcheck.reports.escaping import safe, safe_lines
from pytest_prodcheck.reports.junit import properties, suite_properties
from pytest_prodcheck.reports.verdict_documents import AnyVerdict

_ELEMENTS = {Outcome.FAILED: "failure", Outcome.ERRORED: "error", Outcome.SKIPPED: "skipped"}


def run_junit(run: RunRecord, verdicts: Iterable[AnyVerdict], *, unicode: bool = True) -> str:
    """The run as XML. JUnit has no word for warned: such a test has no failure, its properties tell."""
    numbers = counts(run.results)
    whole = {
        "name": safe(run.environment),
        "tests": str(len(run.results)),
        "failures": str(numbers[Outcome.FAILED]),
        "errors": str(numbers[Outcome.ERRORED]),
        "skipped": str(numbers[Outcome.SKIPPED]),
        "time": f"{max(0.0, run.ended_at - run.started_at):.3f}",
    }
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", whole)
    _add_properties(suite, suite_properties(run, verdicts))
    for each in run.results:
        suite.append(_case(each))
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _case(result: Result) -> ElementTree.Element:
    name = result.check if result.target == NO_TARGET else f"{result.check}[{result.target}]"
    told = {"classname": safe(result.suite), "name": safe(name), "time": f"{result.seconds:.3f}"}
    case = ElementTree.Element("testcase", told)
    _add_properties(case, properties(result))
    if result.outcome in _ELEMENTS:
        text = safe_lines(result.reason)
        outcome = ElementTree.SubElement(case, _ELEMENTS[result.outcome], message=text[0] if text else "")
        outcome.text = "\n".join(text)
    return case


def _add_properties(parent: ElementTree.Element, named: Iterable[tuple[str, str]]) -> None:
    inside = ElementTree.SubElement(parent, "properties")
    for name, value in named:
        ElementTree.SubElement(inside, "property", name=name, value=value)
