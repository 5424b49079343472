"""What pytest has no public name for is where `plugin.pytest_internals` looks for it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.plugin import pytest_internals as internals


def test_a_node_id_is_set(request: pytest.FixtureRequest) -> None:
    item = pytest.Function.from_parent(request.node.parent, name="probe", callobj=lambda: None)
    internals.set_node_id(item, "smoke.service.health[web]")
    assert item.nodeid == "smoke.service.health[web]"


def test_the_writer_of_the_terminal_is_found(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    with (tmp_path / "output").open("w") as file:
        reporter = pytest.TerminalReporter(pytestconfig, file)
        writer = internals.terminal_writer(reporter)
        writer.write("four", flush=True)
        assert (writer.width_of_current_line, writer.fullwidth > 4) == (4, True)
        assert internals.terminal_descriptor(reporter) == file.fileno()
    assert (tmp_path / "output").read_text() == "four"


def test_a_terminal_without_a_file_has_no_descriptor(pytestconfig: pytest.Config) -> None:
    with pytest.raises((OSError, ValueError, AttributeError)):
        internals.terminal_descriptor(pytest.TerminalReporter(pytestconfig, io.StringIO()))


def test_finalizers_are_those_that_pytest_calls(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    fixture: pytest.FixtureDef[Any] = request._get_active_fixturedef("tmp_path")
    called: list[str] = []

    def finalizer() -> None:
        called.append("finalizer")

    fixture.addfinalizer(finalizer)
    assert finalizer in internals.finalizers(fixture)
    internals.finalizers(fixture).remove(finalizer)
    assert called == []


def test_report_sections_are_those_that_reports_show(request: pytest.FixtureRequest) -> None:
    request.node.add_report_section("call", "stdout", "said")
    assert ("call", "stdout", "said") in internals.report_sections(request.node)
    internals.report_sections(request.node).clear()
    assert request.node._report_sections == []
