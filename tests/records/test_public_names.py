"""The names that teams' own checks may import from `pytest_prodcheck.records`, and the old path for one release."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from pytest_prodcheck import records
from pytest_prodcheck.records.names import MODULE_OF

ROOT = Path(__file__).resolve().parent.parent.parent
# what `pytest_prodcheck.records` itself defines; the subjects' names stand in the generated records/names.py
OF_THE_PACKAGE = {"Evidence", "EvidenceProblem", "Exchange", "Problem", "ProblemKind", "Record"}
# of the standard library, as the package needs it
IMPORTED = {"Any", "Generic", "Literal", "TYPE_CHECKING", "TypeVar", "annotations", "dataclass"}


def python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, *options, "-c", code]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)


def test_the_public_names_are_these() -> None:
    there = {name for name in dir(records) if not name.startswith("_")}
    assert {name for name in there if not isinstance(getattr(records, name), ModuleType)} == {
        *OF_THE_PACKAGE, *IMPORTED, *MODULE_OF,
    }  # fmt: skip


def test_every_record_of_every_subject_is_public() -> None:
    """names.py is generated: a class that was added, renamed or taken away shows as a difference."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_public_name_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    record_names = import_module("record_names")
    monkeypatch.setattr(record_names, "known", lambda: {"Health", "Wealth"})
    with pytest.raises(ValueError, match=r"Wealth: public, but gone\. Keep the name"):
        record_names.names()


def test_a_subject_is_loaded_when_it_is_asked_for() -> None:
    done = python(
        "import sys; from pytest_prodcheck import records; before = set(sys.modules); records.Health; "
        "print(sorted(name for name in set(sys.modules) - before if name.startswith('pytest_prodcheck')))"
    )
    assert done.stdout.strip() == "['pytest_prodcheck.records.services']", done.stderr


def test_an_unknown_name_is_an_import_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Wealth'"):
        records.Wealth  # type: ignore[attr-defined] # noqa: B018


@pytest.mark.parametrize("first", ["records", "records.services", "records.names"])
def test_the_old_path_gives_the_identical_things_and_warns(first: str) -> None:
    code = f"""
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import pytest_prodcheck.evidence.{first}
print([(each.category.__name__, each.filename, str(each.message)) for each in caught])
from importlib import import_module
from pytest_prodcheck import records
from pytest_prodcheck.records.names import MODULE_OF
old = import_module("pytest_prodcheck.evidence.records")
for name, module in MODULE_OF.items():
    there = getattr(import_module(f"pytest_prodcheck.evidence.records.{{module}}"), name)
    assert there is getattr(records, name) is getattr(old, name), name
assert old.Exchange is records.Exchange and old.EvidenceProblem is records.EvidenceProblem
assert pytest_prodcheck.evidence.records.services.Health is records.Health
"""
    done = python(code)
    told = "pytest_prodcheck.evidence.records is now pytest_prodcheck.records; the old path ends with the next release"
    assert (done.stdout.strip(), done.stderr) == (str([("DeprecationWarning", "<string>", told)]), "")


def test_the_old_path_as_a_team_writes_it() -> None:
    code = """
from pytest_prodcheck.evidence.records.services import Health
from pytest_prodcheck import records
print(Health is records.Health)
"""
    assert python(code).stdout == "True\n"
    refused = python(code, "-W", "error::DeprecationWarning")
    assert "DeprecationWarning: pytest_prodcheck.evidence.records is now" in refused.stderr


def test_suites_examples_and_pages_import_from_the_public_place() -> None:
    files = [*ROOT.glob("suites/**/*.py"), *ROOT.glob("examples/**/*.py"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]
    wrong = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in files
        for line in file.read_text(encoding="utf-8").splitlines()
        if "import" in line and ("pytest_prodcheck.records." in line or "evidence.records" in line)
    ]
    assert wrong == []
