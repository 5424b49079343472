"""What the conftests of our own tests do: options, the order, and no skips in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = """
import pytest

def test_redis():
    pytest.skip("no redis-server: apt-get install redis-server")
"""
READS = """
import os

def test_soak():
    assert os.environ.get("PRODCHECK_SOAK") == "1"
"""
MEASURED = """
import pytest

@pytest.mark.parametrize("fault", ["dns-gone", "perf-slow"])
def test_fault(fault): pass
"""


@pytest.fixture
def checkout(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A checkout with our two conftests and no tests yet."""
    for name in ("PRODCHECK_SOAK", "PRODCHECK_NO_SKIPS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # none is needed but xdist
    pytester.makeini("[pytest]")
    pytester.makeconftest((ROOT / "conftest.py").read_text(encoding="utf-8"))
    pytester.mkdir("tests").joinpath("conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    return pytester


def run(checkout: pytest.Pytester, text: str, *options: str, file: str = "tests/test_it.py") -> pytest.RunResult:
    (checkout.path / file).parent.mkdir(exist_ok=True)
    (checkout.path / file).write_text(text)
    return checkout.runpytest_subprocess("-p", "xdist", *options, "tests")


def test_a_skip_for_a_missing_program_is_said_and_passes_at_a_desk(checkout: pytest.Pytester) -> None:
    done = run(checkout, SKIPPED)
    assert done.ret == 0
    done.stdout.fnmatch_lines("not run: *test_redis*apt-get install redis-server")


@pytest.mark.parametrize("more", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_it_fails_a_run_without_skips(more: tuple[str, ...], checkout: pytest.Pytester) -> None:
    assert run(checkout, SKIPPED, "--no-skips", *more).ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("more", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_the_soak_is_an_option(more: tuple[str, ...], checkout: pytest.Pytester) -> None:
    assert run(checkout, READS, "--soak", *more).ret == 0


def test_what_measures_comes_first(checkout: pytest.Pytester) -> None:
    done = run(checkout, MEASURED, "-v", file="tests/faults/test_matrix.py")
    done.stdout.fnmatch_lines(["*perf-slow*", "*dns-gone*"])


def test_what_measures_runs_alone_and_nothing_is_left_out(checkout: pytest.Pytester) -> None:
    (checkout.path / "tests" / "test_other.py").write_text("def test_other(): pass\n")
    for only, found in (("measuring", {"perf-slow"}), ("others", {"dns-gone", "test_other"})):
        done = run(checkout, MEASURED, "--only", only, "-v", file="tests/faults/test_matrix.py")
        assert {each for each in ("perf-slow", "dns-gone", "test_other") if each in done.stdout.str()} == found
