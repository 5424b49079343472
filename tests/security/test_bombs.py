"""Little that unfolds to much, and patterns of others: each within seconds, each in one clear message."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck import json_schemas
from pytest_prodcheck.evidence.backups.dumps import _head
from pytest_prodcheck.evidence.backups.object_store import _page
from pytest_prodcheck.evidence.release.setting_files import parse
from pytest_prodcheck.evidence.services.openapi_document import fits
from pytest_prodcheck.evidence.tools.bounded_data import refuse_bombs
from pytest_prodcheck.evidence.tools.sanitizing import url
from pytest_prodcheck.json_schemas import PatternProblem, worst_mismatch
from pytest_prodcheck.proposals.proposal import CannotPropose
from pytest_prodcheck.proposals.sources import propose
from pytest_prodcheck.records import EvidenceProblem
from suites.smoke.test_login import _lasting
from tests.evidence.http.servers import Answer, Seen, web
from tests.hostile.support import bare


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 40


def aliases(levels: int = 40) -> str:
    rows = ["a0: &a0 {x: 1, y: 2}"] + [f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}" for n in range(1, levels)]
    return "\n".join(rows) + "\n"


def test_yaml_whose_merges_multiply() -> None:
    """PyYAML before 6.0.4 unfolded them while it read, which nobody can end."""
    rows = ["a0: &a0 {k: v, l: w}"] + [f"a{n}: &a{n} {{<<: [{f'*a{n - 1} ,' * 9}]}}" for n in range(1, 40)]
    assert parse("\n".join(rows).encode(), "yaml", "x.yaml")


@pytest.mark.parametrize("text", [aliases(), "a: &a {b: *a}\n", "a: " + "[" * 500 + "]" * 500])
def test_yaml_that_unfolds(text: str) -> None:
    with pytest.raises(EvidenceProblem, match=r"unfold|nested|no YAML"):
        parse(text.encode(), "yaml", "x.yaml")


def test_a_compose_file_that_unfolds(tmp_path: Path) -> None:
    """Its words would fill all memory for minutes."""
    rows = ['a0: &a0 ["x", "x"]'] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    service = "services:\n  web: {image: redis, ports: ['80:80'], command: *a29}\n"
    (tmp_path / "compose.yaml").write_text("\n".join(rows) + "\n" + service)
    with pytest.raises(CannotPropose, match="aliases unfold"):
        propose(str(tmp_path / "compose.yaml"))


def test_data_of_an_ordinary_size() -> None:
    refuse_bombs({str(n): [{"a": n}] * 3 for n in range(1000)})


DOCTYPE = (
    '<?xml version="1.0" encoding="{}"?><!DOCTYPE r [<!ENTITY a "zzz">]>'
    "<ListBucketResult><Key>&a;</Key></ListBucketResult>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32", "utf-7", "cp037"])
def test_a_document_type_in_any_encoding(encoding: str) -> None:
    with pytest.raises(EvidenceProblem, match="not a listing"):
        _page(DOCTYPE.format(encoding.upper()).encode(encoding), "s3://x")


def test_a_good_listing() -> None:
    assert _page(b"\xef\xbb\xbf<ListBucketResult><Key>a</Key></ListBucketResult>", "s3://x").findtext("Key") == "a"


def test_heads_of_dumps_that_lie(tmp_path: Path) -> None:
    def number(value: int) -> bytes:
        return b"\0" + struct.pack("<I", value)

    when = b"".join(number(each) for each in (1, 1, 1, 1, 1, 2**31 - 1, 0))
    far = b"PGDMP" + bytes([1, 14, 0, 4, 8, 1]) + number(0) + when + number(4) + b"shop" + b"x" * 100
    wide = b"PGDMP" + bytes([1, 14, 0, 255, 8, 1]) + b"\0" * 60
    for content in (far, wide, b"PGDMP" + b"\xff" * 60, b"PGDMP" + b"\0" * 60):
        (tmp_path / "x.dump").write_bytes(content)
        assert _head(tmp_path / "x.dump") is None


def test_templates_of_paths() -> None:
    assert fits("/orders/{id}", "/orders/7")
    assert fits("/orders/{id}.json", "/orders/a.json.json")
    assert fits("/{a}-{b}/x", "/1-2-3/x")
    assert not fits("/orders/{id}", "/orders/")
    assert not fits("/orders/{id}", "/orders/7/lines")
    assert not fits("/{a}{b}", "/x")
    assert not fits("/{a}bb", "/bb")
    assert fits("/a.b", "/a.b")
    assert not fits("/a.b", "/axb")
    many = "/orders/" + "".join(f"{{p{n}}}" for n in range(5000)) + "!"
    assert not fits(many, "/orders/" + "x" * 100_000)


PATTERNS = ("^(a+)+$", "^([a-z]+)*$", r"(\w|\d)*!", "^(a|aa)+$")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_of_a_schema(pattern: str) -> None:
    text = "a" * 200_000 + "?"
    assert worst_mismatch({"pattern": pattern}, text) is not None
    assert worst_mismatch({"patternProperties": {pattern: False}}, {text: 1}) is None
    assert worst_mismatch({"patternProperties": {pattern: {}}, "additionalProperties": False}, {text: 1}) is not None
    assert worst_mismatch({"properties": {"x": {"pattern": pattern}}}, {"x": text}).json_path == "$.x"


def test_patterns_that_re2_does_not_know() -> None:
    assert worst_mismatch({"pattern": "^(?!x)y"}, "y") is None
    assert worst_mismatch({"pattern": "^(?!x)y"}, "xy") is not None
    with pytest.raises(PatternProblem, match="took longer"):
        worst_mismatch({"pattern": "^(?!x)(a+)+$"}, "a" * 60 + "?")
    with pytest.raises(PatternProblem, match="too many values"):
        worst_mismatch({"items": {"pattern": "^(?!x)"}}, [str(n) for n in range(30)])
    with pytest.raises(PatternProblem, match="neither Python nor RE2"):
        worst_mismatch({"pattern": "(?<=a+)b"}, "b")


@pytest.mark.parametrize(
    ("pattern", "text", "good"),
    [(r"^\u0041$", "A", True), (r"^\d{4}-\d\d$", "2026-11", True), ("^a$", "a\n", False), ("é", "café", True),
     ("^.$", "\ud800", True), (r"\p{L}", "ß", True)],
)  # fmt: skip
def test_patterns_mean_what_they_should(pattern: str, text: str, good: bool) -> None:
    assert (worst_mismatch({"pattern": pattern}, text) is None) == good


def test_schemas_that_refer_to_themselves_twice() -> None:
    """2^60 ways through thirty lines."""
    definitions = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**definitions, "d60": {"type": "string"}}}
    with pytest.raises(PatternProblem, match="longer than"):
        worst_mismatch(schema, 1, seconds=1)


def test_unique_items_of_many_objects() -> None:
    many = [{"a": n} for n in range(30_000)]
    assert worst_mismatch({"uniqueItems": True}, many) is None
    assert worst_mismatch({"uniqueItems": True}, [*many, {"a": 5.0}]) is not None
    assert worst_mismatch({"uniqueItems": True}, [1, True, "1", [1], [True]]) is None


def test_other_keywords_still_judge() -> None:
    schema = {"type": "object", "required": ["a"], "additionalProperties": {"type": "integer"}}
    assert worst_mismatch(schema, {"a": 1, "b": 2}) is None
    assert worst_mismatch(schema, {"a": 1, "b": "x"}).json_path == "$.b"
    assert worst_mismatch(schema, {}) is not None
    assert worst_mismatch(
        {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}, 1
    )
    assert json_schemas.refused({"a": [{"unevaluatedProperties": False}], "patternProperties": {}})


def test_long_queries_and_answers() -> None:
    assert len(url("http://x/?" + "a" * 1_000_000)) <= 2000
    assert url("http://x/?token=abc&b=1;session=2") == "http://x/?token=[redacted]&b=1;session=[redacted]"
    assert len(_lasting("a" * 1_000_000)) == 1_000_000
    assert _lasting("id:ab12-c at 12:30, x=9") == "id:# at #, #"


def hostile(kind: str) -> tuple[dict[str, Any], Any, str]:
    """The OpenAPI document of a target, its answer, and where that is."""
    path = "/orders/summary-of-everything-that-was-sold-in-the-year-2026"
    template = "/orders/" + "".join(f"{{p{n}}}" for n in range(14)) + "!" if kind == "template" else path
    answer = {"x": "a" * 40 + "!" if kind == "pattern" else "a"}
    body = {"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}}
    responses = {"200": {"description": "ok", "content": {"application/json": {"schema": body}}}}
    document = {
        "openapi": "3.0.0",
        "info": {"title": "t", "version": "1"},
        "paths": {template: {"get": {"responses": responses}}},
    }
    return document, answer, path


@pytest.mark.parametrize("kind", ["template", "pattern", "location"])
def test_a_run_against_a_hostile_target(tmp_path: Path, kind: str) -> None:
    """It hung for minutes, whatever its deadline."""
    document, answer, path = hostile(kind)

    def serve(seen: Seen) -> Answer:
        headers = {"Content-Type": "application/json"}
        if kind == "location":
            headers["Location"] = "http://x/?" + "a" * 60_000
        return 200, headers, json.dumps(document if "openapi" in seen.path else answer).encode()

    with web(serve) as server:
        project = bare(tmp_path, (
            'version = 1\n[environments.dev]\nrevision = "r1"\ngathering.deadline = "10s"\n'
            '[environments.dev.services.shop]\n'
            f'url = "http://127.0.0.1:{server.port}"\nopenapi = "/openapi.json"\ntimeout = "3s"\n'
            f'endpoints.summary = {{ request = "GET {path}", status = 200, schema = "openapi" }}\n'
        ))  # fmt: skip
        started = time.monotonic()
        done = project.pytest("-p", "no:cacheprovider")
        assert time.monotonic() - started < 20
    assert done.returncode in (0, 1, 13)
    if kind == "pattern":
        assert "smoke.api.endpoint" in done.stdout
        assert done.returncode == 1
