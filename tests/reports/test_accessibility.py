"""axe-core in a real Chromium finds nothing serious on the page, wide and narrow, light and dark, all of it open."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.reports.page import run_page
from tests.reports.samples import BLOCKED, CANNOT_TELL, OPEN, RUN
from tests.reports.test_page import BEFORE, browsed


def axe() -> str:
    """The engine's script: the file that AXE_CORE names, else that of the package axe-core-python."""
    if named := os.environ.get("AXE_CORE"):
        return Path(named).read_text(encoding="utf-8")
    found = importlib.util.find_spec("axe_core_python")
    if found is None or found.origin is None:
        pytest.skip("no axe-core, which looks for barriers; install: pip install axe-core-python")
    return Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")


RULES = "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }"


@pytest.mark.parametrize("look", ["--window-size=1280,900", "--window-size=500,900 --force-dark-mode"])
def test_nothing_serious(look: str, tmp_path: Path) -> None:
    page = run_page(RUN, [BLOCKED, CANNOT_TELL, OPEN], before=BEFORE)
    page = page.replace("</body>", f"<script>{axe()}</script></body>")
    # open: everything that can be opened, as somebody who reads it all
    script = f"""
      const done = (found) => {{ document.getElementById("seen").textContent = JSON.stringify(found); }};
      dispatchEvent(new Event("beforeprint"));
      for (const each of document.querySelectorAll("details")) each.open = true;
      axe.run(document, {RULES}).then((told) => done(told.violations.map((each) =>
        ({{ id: each.id, impact: each.impact, where: each.nodes.slice(0, 4).map((node) => node.target.join()) }}))));
      seen.waiting = true
    """
    found: list[dict[str, Any]] = browsed(page, script, tmp_path, *look.split())
    assert isinstance(found, list), "axe did not end"
    assert [each for each in found if each["impact"] in ("serious", "critical")] == []
