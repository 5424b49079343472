"""The page on paper: printed to PDF by headless Chromium and read back by poppler's pdftotext and pdftoppm."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.reports.page import run_page
from tests.reports.samples import BLOCKED, CANNOT_TELL, FAILED, RUN
from tests.reports.test_page import BEFORE
from tests.reports.test_trends import TRENDS

LONG = "x" * 150
MANY = [replace(FAILED, target=f"checkout-{n}", reason=f"reason-{n} of {LONG}") for n in range(12)]


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Printed by somebody whose screen is dark."""
    chromium = shutil.which("chromium")
    if chromium is None or shutil.which("pdftotext") is None:
        pytest.skip("no chromium or pdftotext, which print and read; install: apt-get install chromium poppler-utils")
    folder = tmp_path_factory.mktemp("paper")
    page = run_page(
        replace(RUN, results=(*RUN.results, *MANY)), [BLOCKED, CANNOT_TELL], before=BEFORE, trends=TRENDS
    )
    (folder / "page.html").write_text(page, encoding="utf-8")
    words = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=10000", "--no-pdf-header-footer",
        "--force-dark-mode", f"--print-to-pdf={folder / 'page.pdf'}", (folder / "page.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (folder / "page.pdf").is_file(), done.stderr[-2000:]
    return folder / "page.pdf"


def test_what_decided_is_on_paper_also_what_is_folded_on_the_screen(paper: Path) -> None:
    text = subprocess.run(["pdftotext", "-raw", paper, "-"], capture_output=True, text=True, check=True).stdout
    told = re.sub(r"\s+", "", text)
    for result in RUN.results:
        assert result.check in text  # in one piece
        if result.outcome in (Outcome.FAILED, Outcome.ERRORED):
            for each in result.judgements:
                assert re.sub(r"\s+", "", each.what) in told  # the table of an opened result
    assert "reason-11of" in told
    assert told.count("ismorethan30s") > 1
    assert "16new" in told
    assert told.count("becameworse") > 2  # the list that is folded where it is long
    assert "BLOCKED:smoke" in told
    assert "limit≤3s" in told  # the trend of what failed
    assert "Search" not in text


def test_nothing_is_cut_at_the_right_edge(paper: Path) -> None:
    """Each word lies on its page; a line that is too long is broken."""
    found = subprocess.run(["pdftotext", "-bbox", paper, "-"], capture_output=True, text=True, check=True).stdout
    widths = re.findall(r'<page width="([0-9.]+)"', found)
    right = [float(each) for each in re.findall(r'xMax="([0-9.]+)"', found)]
    assert max(right) <= float(widths[0]) - 10
    assert LONG in re.sub(r"<[^>]+>|\s+", "", found)


def test_it_is_dark_on_white(paper: Path) -> None:
    """The first page's corner and the middle of its margin are paper, however dark the screen is."""
    words = ["pdftoppm", "-f", "1", "-l", "1", "-r", "20", "-gray", str(paper)]
    image = subprocess.run(words, capture_output=True, check=True).stdout
    header, rest = re.match(rb"P5\s+(\d+)\s+(\d+)\s+255\s", image), image
    assert header is not None
    pixels = rest[header.end() :]
    light = sum(each > 200 for each in pixels) / len(pixels)
    assert light > 0.6
    assert pixels[0] == 255
