"""Golden files: PRODCHECK_WRITE_GOLDEN=1 writes them again, to be read before they are kept."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.outcomes import RunRecord
from pytest_prodcheck.reports import WRITERS, write
from pytest_prodcheck.reports.banner import finding_lines
from pytest_prodcheck.reports.terminal import progress_line, summary_lines
from pytest_prodcheck.reports.text import run_text, verdict_text
from pytest_prodcheck.reports.text_layout import Style, cells
from pytest_prodcheck.reports.verdict_documents import View
from tests.reports.hostile import STRINGS, filled_with_text
from tests.reports.samples import BLOCKED, NOW, OPEN, RUN, VERDICTS
from tests.reports.test_escaping import COMMAND, OBEYED

GOLDEN = Path(__file__).with_name("golden")


def compare(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("PRODCHECK_WRITE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
@pytest.mark.parametrize("name", VERDICTS)
def test_verdict(name: str, unicode: bool) -> None:
    text = verdict_text(VERDICTS[name].to_document(), unicode=unicode)
    compare(f"{name}-{'unicode' if unicode else 'ascii'}", text)
    assert unicode or text.isascii()


def test_many_findings_of_one_check_do_not_hide_the_next() -> None:
    many = [View({"check": "s.cors", "target": "shop", "outcome": "failed", "text": f"origin {n}"}) for n in range(20)]
    last = View({"check": "s.files", "target": "shop", "outcome": "failed", "text": ".env"})
    few = finding_lines([*many, last], Style(), 2)
    assert [line for line in few if "more" in line] == [
        "      and 17 more of this check (see the report, or prodcheck gate --explain)"
    ]
    assert any("s.files" in line for line in few)
    assert finding_lines([*many, last], Style(), 1)[-1].startswith("   and 1 more (listed in the report")
    assert not any("more" in line for line in finding_lines([*many, last], Style(), None))


@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
def test_run(unicode: bool) -> None:
    text = run_text(RUN, [OPEN, BLOCKED], unicode=unicode)
    compare(f"run-{'unicode' if unicode else 'ascii'}", text)
    assert text.index("BLOCKED") < text.index("OPEN")
    assert max(map(cells, text.splitlines())) <= 120
    assert unicode or text.isascii()


@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
def test_terminal(unicode: bool) -> None:
    text = "\n".join(summary_lines(RUN, [OPEN, BLOCKED], unicode=unicode)) + "\n"
    compare(f"terminal-{'unicode' if unicode else 'ascii'}", text)
    assert "results of no gate above" in text  # the errored check that neither gate names
    text = "\n".join(summary_lines(RUN, [], unicode=unicode)) + "\n"
    compare(f"terminal-no-gates-{'unicode' if unicode else 'ascii'}", text)


def test_explained_and_answered_otherwise() -> None:
    text = verdict_text(OPEN.to_document(), explain=True, now=NOW + 7200, code=4, reasons=["the evidence is too old"])
    compare("stale-explained", text)
    assert text.startswith("🚫 REFUSED")
    assert "EXPIRED" in text


def test_many_findings_are_counted() -> None:
    many = replace(BLOCKED, reasons=tuple(replace(BLOCKED.reasons[0], target=f"pod-{place}") for place in range(50)))
    assert "and 38 more" in verdict_text(many.to_document())
    assert "more" not in verdict_text(many.to_document(), explain=True).replace("more than", "")
    assert "pod-49" in verdict_text(many.to_document(), explain=True)


@pytest.mark.parametrize("text", STRINGS)
def test_hostile_strings_in_every_field(text: str) -> None:
    run, verdict = filled_with_text(RunRecord, text), filled_with_text(Verdict, text)
    shown = [run_text(run, [verdict]), "\n".join(summary_lines(run, [verdict], color=False))]
    shown += [verdict_text(verdict.to_document(), explain=True), verdict_text(verdict.to_document(), unicode=False)]
    shown += [run_text(run, [verdict], unicode=False), progress_line(1, 2, 3.0, [text, text])]
    for report in shown:
        assert not OBEYED.search(report.replace("\n", ""))
        assert not COMMAND.search(report)
        assert len(report) < 400_000
        assert not any(line.startswith("🟢") for line in report.splitlines())


@pytest.mark.parametrize(
    "document",
    [{}, {"code": "x", "status": 3}, {"reasons": "x", "warnings": [1, None], "counts": [1], "skips": {"x": 3}},
     {"reasons": [{"value": {}, "limit": 1e400, "code": [], "text": None}], "oldest_evidence": 1e300, "code": 10**400},
     {"reasons": [{"check": "a", "limit": 3, "value": [1]}], "observation": 4, "evaluated_at": float("nan")},
     {"needs": [[], {"gate": 3}], "status": "open", "code": True}],
)  # fmt: skip
@pytest.mark.parametrize("explain", [False, True])
def test_a_broken_document_is_shown_and_never_as_open(document: dict[str, object], explain: bool) -> None:
    text = verdict_text(document, explain=explain, now=NOW)
    assert "OPEN" not in text
    assert "CANNOT TELL" in text


def test_status_open_with_another_code_is_not_shown_as_open() -> None:
    assert not verdict_text({**OPEN.to_document(), "code": 1}).startswith("🟢")
    assert not verdict_text({**BLOCKED.to_document(), "status": "open"}).startswith("🟢")


def test_colour_only_where_asked() -> None:
    assert "\x1b[" not in verdict_text(BLOCKED.to_document())
    assert "\x1b[31m" in verdict_text(BLOCKED.to_document(), color=True)


def test_progress() -> None:
    assert progress_line(12, 40, 3.2) == "evidence: 12 of 40 in 3.2 s"
    line = progress_line(12, 40, 3.2, ["postgres-server:shop-db", "http-health:shop", "c"], width=200)
    assert line == "evidence: 12 of 40 in 3.2 s, waiting for postgres-server:shop-db, http-health:shop and 1 more"
    assert cells(progress_line(1, 40, 3.2, ["x" * 99] * 3, width=40)) <= 40


def test_writers() -> None:
    for name in WRITERS:
        assert write(name, RUN, [OPEN])
    with pytest.raises(ValueError, match="unknown report format 'pdf': expected one of text, json"):
        write("pdf", RUN, [OPEN])
