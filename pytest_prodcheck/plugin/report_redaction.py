"""Blanks secrets in what pytest hands around, field by field: identities, outcomes and numbers are never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from pytest_prodcheck.outcomes import Result
from pytest_prodcheck.plugin import result_transport
from pytest_prodcheck.plugin.pytest_internals import report_sections

Redact = Callable[[str], str]


class Unreadable(Exception):
    """Stands for an exception whose own text cannot be changed."""


def clean_result(result: Result, redact: Redact) -> Result:
    """A result without secrets, whatever a check wrote into it."""
    if all(redact(text) == text for text in _texts(result)):  # as nearly always: making another takes ten times as long
        return result
    return replace(
        result,
        reason=redact(result.reason),
        judgements=tuple(
            replace(
                each,
                what=redact(each.what),
                of=redact(each.of),
                reason=redact(each.reason),
                value=redact(each.value) if isinstance(each.value, str) else each.value,
            )
            for each in result.judgements
        ),
        notes=tuple(redact(note) for note in result.notes),
    )


def _texts(result: Result) -> Iterator[str]:
    """All that may hold a secret."""
    if result.reason:
        yield result.reason
    for each in result.judgements:
        yield each.what
        if each.of:
            yield each.of
        if each.reason:
            yield each.reason
        if isinstance(each.value, str):
            yield each.value
    yield from result.notes


def clean_report(report: pytest.TestReport | pytest.CollectReport, redact: Redact) -> None:
    """Blanks what people read in a report; the result that travels on it is cleaned by its fields."""
    shown = report.longrepr
    if isinstance(shown, tuple):
        path, line, reason = shown
        report.longrepr = (path, line, redact(reason))
    elif shown is not None and (clean := redact(text := str(shown))) != text:
        report.longrepr = clean
    if report.sections:
        report.sections = [(name, redact(text)) for name, text in report.sections]
    if isinstance(report, pytest.TestReport) and report.user_properties:
        report.user_properties = [
            (name, _clean_property(name, value, redact)) for name, value in report.user_properties
        ]


def _clean_property(name: str, value: object, redact: Redact) -> object:
    if not isinstance(value, str) or redact(value) == value:
        return value
    if name != result_transport.KEY:
        return value if name in result_transport.IDENTITIES else redact(value)
    try:
        return result_transport.dump(clean_result(result_transport.parse(value), redact))
    except (ValueError, TypeError, KeyError):
        return value  # no result of ours: the counter says so


def clean_call(item: pytest.Item, call: pytest.CallInfo[None], redact: Redact) -> None:
    """Blanks what a report is about to be made of: what ended the phase, what was printed and logged in it."""
    if call.excinfo is not None and (clean := clean_exception(call.excinfo.value, redact)) is not call.excinfo.value:
        call.excinfo = pytest.ExceptionInfo.from_exception(clean)
    sections = report_sections(item)
    sections[:] = [(when, name, redact(text)) for when, name, text in sections]


def clean_exception(error: BaseException, redact: Redact) -> BaseException:
    """Blanks the texts of an exception and of those that led to it; returns it, or a stand-in where that is in vain."""
    for each in _chain(error):
        _clean_one(each, redact)
    text = str(error)
    if isinstance(error, Exception) and (clean := redact(text)) != text:
        return Unreadable(f"{type(error).__name__}: {clean}").with_traceback(error.__traceback__)
    return error


def cleaning(finalizer: Callable[[], object], redact: Redact) -> Callable[[], object]:
    """A fixture's finalizer whose exception nobody sees as it was."""

    def finish() -> object:
        try:
            return finalizer()
        except BaseException as error:
            clean = clean_exception(error, redact)
            if clean is error:
                raise
            raise clean from None

    return finish


def _clean_one(error: BaseException, redact: Redact) -> None:
    if any(isinstance(each, str) and redact(each) != each for each in error.args):
        error.args = tuple(redact(each) if isinstance(each, str) else each for each in error.args)
    said = getattr(error, "msg", None)  # of pytest's own
    if isinstance(said, str) and redact(said) != said:
        error.msg = redact(said)  # type: ignore[attr-defined]
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        notes[:] = [redact(each) if isinstance(each, str) else each for each in notes]


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting = [error]
    while waiting and len(seen) < 50:
        each = waiting.pop()
        if each not in seen:
            seen.append(each)
            yield each
            inner = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
            waiting += [more for more in (each.__cause__, each.__context__, *inner) if more is not None]


def clean_warning(warning: Any, redact: Redact) -> None:
    """Blanks a recorded warning in place."""
    text = str(warning.message)
    if (clean := redact(text)) != text:
        warning.message = Warning(clean)
