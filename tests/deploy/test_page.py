"""docs/deploying.md shows what its own settings make."""

from __future__ import annotations

import re
from pathlib import Path

from tests.project import Project

PAGE = Path(__file__).resolve().parents[2] / "docs" / "deploying.md"
HEAD = """\
version = 1
project = "shop"
[environments.production.services.shop]
url = "http://127.0.0.1:8080"
[environments.production.services.shop.endpoints]
product = { request = "GET /product", status = 200 }
"""


def test_the_dry_run_of_the_page_is_real(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    settings = re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S)[0]
    shown = re.findall(r"^```text\n(\$ prodcheck deploy .*?)^```$", text, re.M | re.S)[0]
    command, _, told = shown.partition("\n")
    project = Project.make(tmp_path, HEAD + settings)
    for name, rows in (("copy.sh", r"blue 4f1c2e9\ngreen -\n"), ("share.sh", r"blue 100\ngreen 0\n")):
        project.write(name, f"#!/bin/sh\nprintf '{rows}'\n").chmod(0o755)
    done = project.prodcheck(*command.split()[2:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert without_digest(done.stdout) == without_digest(told)


def without_digest(text: str) -> str:
    """It changes with every new key of prodcheck.toml."""
    return re.sub(r"^plan [0-9a-f]{16}:", "plan:", text)
