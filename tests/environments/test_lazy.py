"""A start pays for the sections that a file has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_prodcheck.environments.loading import ConfigurationError, load
from pytest_prodcheck.environments.project import Environment
from pytest_prodcheck.environments.sections.lazy import Lazy, model_of
from pytest_prodcheck.environments.sections.services import Service

LOADED = """\
import sys
from pathlib import Path
from pytest_prodcheck.environments.loading import load
load(Path(sys.argv[1]))
start = "pytest_prodcheck.environments.sections."
print(*sorted(name.removeprefix(start) for name in sys.modules if name.startswith(start)))
"""
SECTIONS = {
    "approval", "auth", "backups", "database", "dependencies", "exposure", "hosts", "kubernetes", "load", "monitoring",
    "postgres", "redis", "rollback", "services", "settings", "tls", "vulnerabilities", "workflows",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("", set()),
        ('services.shop.url = "https://shop.example"', {"services", "tls"}),
        ('redis.cache.nodes = ["cache-1:6379"]', {"redis", "tls"}),
    ],
)
def test_only_sections_that_are_there_are_imported(tmp_path: Path, text: str, needed: set[str]) -> None:
    file = tmp_path / "prodcheck.toml"
    file.write_text(f"version = 1\n[environments.dev]\n{text}\n")
    done = subprocess.run([sys.executable, "-c", LOADED, str(file)], capture_output=True, text=True, check=True)
    assert SECTIONS & set(done.stdout.split()) == needed


def test_each_section_of_an_environment_stands_for_its_model() -> None:
    """The name in the table is the name of a model, so that editors and hints know its keys."""
    found = {inner for field in Environment.model_fields.values() for inner in _types(field.annotation)}
    lazy = [each for each in found if issubclass(each, Lazy)]
    assert len(lazy) >= 19
    assert all(model is not None and model.__name__ == each.__name__ for each in lazy if (model := model_of(each)))


def _types(annotation: object) -> list[type]:
    inner = [found for each in getattr(annotation, "__args__", ()) for found in _types(each)]
    return [annotation, *inner] if isinstance(annotation, type) else inner


def test_a_model_of_python_objects_is_taken_as_it_is() -> None:
    """Tests and the demo make environments without a file."""
    shop = Service(url="https://shop.example")
    assert Environment.model_validate({"services": {"shop": shop}}).services["shop"] is shop
    assert (
        Environment.model_validate({"services": {"shop": {"url": "https://x.example"}}}).services["shop"].timeout == 10
    )


def test_what_json_has_no_word_for_is_refused_in_them_too(tmp_path: Path) -> None:
    """Handed on as null it would stand for a limit that was left out."""
    file = tmp_path / "prodcheck.toml"
    text = 'prometheus.url = "https://p.example"\nmetrics.errors = { query = "q", samples = "s", recent = inf }\n'
    file.write_text(f"version = 1\n[environments.dev]\n{text}")
    with pytest.raises(ConfigurationError, match=r"metrics\.errors\.recent: expected a duration"):
        load(file)
