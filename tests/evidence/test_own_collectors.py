"""Own collectors: registered by a decorator, their section checked."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_prodcheck import collector
from pytest_prodcheck.evidence.collectors import OWN
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.table import COLLECTORS, find, names
from pytest_prodcheck.records import EvidenceProblem
from tests.evidence.contexts import context_for

if TYPE_CHECKING:
    from collections.abc import Mapping

REFERENCE = """
from __future__ import annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING
from pytest_prodcheck import collector
if TYPE_CHECKING:
    from pytest_prodcheck import Deadline

@dataclass(frozen=True)
class MailRelay:
    seconds: float

@collector("mail-relay", settings={"host": str, "port": int, "ca": str | None})
def gather_mail_relay(settings: dict[str, object], deadline: Deadline) -> MailRelay:
    return MailRelay(deadline.seconds_left())
"""


@pytest.fixture(autouse=True)
def _own_as_before() -> Iterator[None]:
    before = dict(OWN)
    yield
    OWN.clear()
    OWN.update(before)


@dataclass(frozen=True)
class Told:
    settings: Any


def made(settings: Mapping[str, Any]) -> Any:
    @collector("mail-relay", settings=settings)
    def gather(settings: dict[str, object], deadline: Deadline) -> Told:
        return Told(settings)

    return find("mail-relay")


def run(root: Path, shape: dict[str, Any], section: dict[str, Any]) -> Any:
    context = context_for(root, own={"mail-relay": section})
    return made(shape).gather("mail-relay", context, Deadline(5)).settings


def test_registers_the_reference_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "relay.py"
    file.write_text(REFERENCE)
    spec = importlib.util.spec_from_file_location("relay_for_test", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "relay_for_test", module)
    spec.loader.exec_module(module)
    found = find("mail-relay")
    assert (found.name, found.axis, found.record) == ("mail-relay", "mail-relay", module.MailRelay)
    context = context_for(tmp_path, own={"mail-relay": {"host": "relay", "port": 587, "vantage": "cluster"}})
    assert found.host("mail-relay", context.environment) == "relay:587"
    assert found.gather("mail-relay", context, Deadline(5)).seconds > 4
    assert callable(module.gather_mail_relay)


def test_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    assert run(tmp_path, {"ca": str | None}, {"ca": "ca/x.pem"}) == {"ca": str(tmp_path / "ca/x.pem")}
    assert run(tmp_path, {"ca": str | None}, {}) == {"ca": None}


def test_secrets_are_resolved_and_redacted(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("canary-secret\n")
    context = context_for(tmp_path, own={"mail-relay": {"password": {"file": "pw"}}})
    assert made({"password": str}).gather("x", context, Deadline(5)).settings == {"password": "canary-secret"}
    assert "canary" not in context.redactor.redact("it is canary-secret")


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"host": "a"}, "'port' is missing"),
        ({"host": "a", "port": "587"}, "'port' is no whole number"),
        ({"host": "a", "port": True}, "'port' is no whole number"),
        ({"host": 3, "port": 1}, "'host' is no text"),
        ({"host": "a", "port": 1, "prot": 2}, "unknown key 'prot'"),
    ],
)
def test_mistakes_name_the_section_and_the_key(tmp_path: Path, section: dict[str, Any], told: str) -> None:
    with pytest.raises(EvidenceProblem) as caught:
        run(tmp_path, {"host": str, "port": int}, section)
    assert caught.value.problem.kind == "configuration"
    assert "[environments.test.own.mail-relay]" in caught.value.problem.message
    assert told in caught.value.problem.message


def test_a_taken_name_is_refused() -> None:
    with pytest.raises(ValueError, match="already a collector"):

        @collector("http-health", settings={})
        def gather(settings: dict[str, object], deadline: Deadline) -> Told:
            return Told({})


@pytest.mark.parametrize("name", names())
def test_the_table_leads_to_each_collector(name: str) -> None:
    found = find(name)
    assert found.name == name
    assert isinstance(found.record, type)
    assert find(name.replace("-", "_")) is found


def test_endpoint_has_short_names() -> None:
    assert find("endpoint") is find("http_endpoint") is find("http-endpoint")
    with pytest.raises(KeyError):
        find("no-such")


def test_importing_collectors_stays_cheap() -> None:
    modules = sorted(set(COLLECTORS.values()))
    modules += ["pytest_prodcheck.evidence.gathering.gatherer", "pytest_prodcheck.evidence.gathering.store"]
    code = (
        "import sys, importlib\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "heavy = ('requests', 'urllib3', 'pydantic', 'psycopg', 'redis', 'dns', 'jsonschema')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
