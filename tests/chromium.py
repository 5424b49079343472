"""One run of a real Chromium over a page of ours: what it says in `<pre id="seen">` as JSON."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FINISH = 'document.getElementById("seen").textContent = JSON.stringify(seen);'


def browse(url: str, profile: Path, *more: str, seconds: int = 60) -> Any:
    """What the page's script wrote; skips where there is no Chromium."""
    done = dumped(url, profile, *more, seconds=seconds)
    found = re.search(r'<pre id="seen">(.+?)</pre>', done, re.S)
    assert found, done[-2500:]
    return json.loads(html.unescape(found[1]))


def dumped(url: str, profile: Path, *more: str, seconds: int = 60) -> str:
    """The document as it is after its scripts ran; skips where there is no Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium, whose behaviour is compared; install: apt-get install chromium")
    words = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={profile}", f"--virtual-time-budget={seconds * 1000 // 3}", *more, "--dump-dom", url,
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=2 * seconds, check=False)
    assert done.stdout, done.stderr[-2000:]
    return done.stdout
