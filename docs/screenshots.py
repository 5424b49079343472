"""Makes the pictures of docs/page.md: the page of a demo run with a fault, at three widths.

python docs/screenshots.py [FAULT]     needs Chromium and a font with emoji (fonts-noto-color-emoji)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = Path(__file__).resolve().with_name("images")
SIZES = {390: 900, 768: 900, 1280: 900}  # pixels: width -> height
FAULT = "postgres-primary-down"


def main(fault: str = FAULT) -> None:
    """Runs the smoke suite against a demo with that fault; one PNG a width."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("docs/screenshots.py needs chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        for faults in ("", fault):  # an open run first, for what changed
            words = [sys.executable, "-m", "pytest", "-q", "-m", "smoke", "--env", "demo", f"--prodcheck-html={page}"]
            subprocess.run(words, cwd=folder, env={**os.environ, "PRODCHECK_DEMO_FAULTS": faults}, check=False)
        IMAGES.mkdir(exist_ok=True)
        for width, height in SIZES.items():
            _take(chromium, page, width, height, IMAGES / f"page-{width}.png")


def _take(chromium: str, page: Path, width: int, height: int, file: Path) -> None:
    """In a frame of that width, because Chromium makes no window below 500 pixels."""
    frame = page.with_name("frame.html")
    style = f"border:0;width:{width}px;height:{height}px"
    body = '<body style="margin:0;background:#d0d7de;text-align:center">'
    frame.write_text(f'{body}<iframe src="{page.name}" style="{style}"></iframe>')
    words = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
        f"--user-data-dir={page.parent / 'profile'}", f"--window-size={max(500, width)},{height}",
        "--virtual-time-budget=10000", "--run-all-compositor-stages-before-draw",  # else parts stay white
        f"--screenshot={file}", frame.as_uri(),
    ]  # fmt: skip
    subprocess.run(words, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    main(*sys.argv[1:])
