from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_prodcheck.environments.toml.documents import walk
from pytest_prodcheck.environments.toml.key_lines import positions

TEXT = '''\
# comment = 1
top = "a # no comment" # yes
[a]
b.c = { d = 1, "e f" = [1, { g = 2 }] }

[a."x.y"]
text = """
[not a table]
key = 1 \\""" still
"""""
raw = \'\'\'
x = 2
\'\'\'
list = [
  "one",  # ]
  { deep = "}" },
]
[[w]]
name = "1"
[w.sub]
z = 1979-05-27
[[w]]
name = "2"
'''


def test_every_key_has_its_line() -> None:
    found = positions(TEXT)
    assert found[("top",)] == 2
    assert found[("a",)] == 3
    assert found[("a", "b", "c", "d")] == 4
    assert found[("a", "b", "c", "e f", "[1]", "g")] == 4
    assert found[("a", "x.y")] == 6
    assert found[("a", "x.y", "text")] == 7
    assert found[("a", "x.y", "raw")] == 11
    assert found[("a", "x.y", "list", "[0]")] == 15
    assert found[("a", "x.y", "list", "[1]", "deep")] == 16
    assert found[("w", "[0]")] == 18
    assert found[("w", "[0]", "sub", "z")] == 21
    assert found[("w", "[1]", "name")] == 23


def test_what_is_in_the_data_is_what_has_a_line() -> None:
    assert set(positions(TEXT)) == {path for path, _ in walk(tomllib.loads(TEXT))}


KEY = st.text(st.sampled_from("ab.\"' #=[]{}\\\n\tä-_1"), max_size=5)
STRING = st.text(st.sampled_from("ab\"'#=[]{},\\\n\tä"), max_size=8)
VALUE = st.recursive(
    st.integers(-9, 9) | st.booleans() | STRING | st.just(1.5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3),
    max_leaves=8,
)


def as_toml(value: Any) -> str:
    """A value as TOML; strings in one of the four ways."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if "'" not in value and "\n" not in value:
            return f"'{value}'"
        if "'''" not in value and not value.endswith("'"):
            return f"'''\n{value}'''"
        return quoted(value)
    if isinstance(value, list):
        return "[ " + ",\n ".join(map(as_toml, value)) + " ]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(key)} = {as_toml(inner)}" for key, inner in value.items()) + " }"
    return str(value)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEY, VALUE, max_size=4), st.dictionaries(KEY, VALUE, max_size=3))
def test_any_toml_is_scanned_like_tomllib_reads_it(top: dict[str, Any], table: dict[str, Any]) -> None:
    lines = [f"{quoted(key)} = {as_toml(value)}" for key, value in top.items()]
    lines += ["[[zz]] # x"] + [f"{quoted(key)} = {as_toml(value)}" for key, value in table.items()]
    text = "\n".join(lines)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a line end where TOML allows none
    assert set(positions(text)) == {path for path, _ in walk(data)}
