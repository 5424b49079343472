"""Small configurations in a temporary folder."""

from __future__ import annotations

from pathlib import Path

from pytest_prodcheck.environments.loading import Configuration, ConfigurationError, load

DATA = Path(__file__).parent / "data"
BASE = """\
version = 1
[environments.dev.services.shop]
url = "https://shop.test"
health = "/healthz"
"""


def write(folder: Path, text: str, name: str = "prodcheck.toml") -> Path:
    """Writes a file below a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load_text(folder: Path, text: str) -> Configuration:
    """The configuration of a text."""
    return load(write(folder, text))


def mistakes(folder: Path, text: str) -> list[str]:
    """What is wrong with a text, one mistake a line; [] where nothing is."""
    try:
        load(write(folder, text))
    except ConfigurationError as error:
        return [str(problem) for problem in error.problems]
    return []


def with_reference_files(folder: Path) -> Path:
    """The files that the reference names beside it."""
    write(folder, "{}", "schemas/product.json")
    write(folder, "{}", "schemas/order.json")
    write(folder, "x", "ca/internal.pem")
    write(folder, "[freeze]\n", "freeze.toml")
    (folder / "checks").mkdir()
    (folder / "prodcheck.d").mkdir()
    return folder
