"""Lines that nobody without the key changes: any edit, exchange and removal between others is noticed."""

from __future__ import annotations

import itertools

from pytest_prodcheck.sealed_lines import SealedLines, key_of_lines

KEY = key_of_lines(b"k" * 64)


def sealed_lines_of(count: int, about: str = "shop", key: bytes = KEY) -> list[str]:
    sealed, lines = SealedLines(key, about), list[str]()
    for number in range(count):
        lines.append(sealed.line(f'{{"run": {number}}}', *lines[-1:]))
    return lines


def test_lines_as_they_were_written() -> None:
    sealed = SealedLines(KEY, "shop")
    lines = sealed_lines_of(4)
    assert [sealed.text(each) for each in lines] == [f'{{"run": {number}}}' for number in range(4)]
    assert all(sealed.chained(lines[first:last]) for first, last in itertools.combinations(range(5), 2))
    assert sealed.chained([])


def test_any_other_arrangement() -> None:
    sealed, lines = SealedLines(KEY, "shop"), sealed_lines_of(4)
    for size in range(2, 5):
        for chosen in itertools.product(range(4), repeat=size):
            neighbours = all(after == before + 1 for before, after in itertools.pairwise(chosen))
            assert sealed.chained([lines[number] for number in chosen]) == neighbours


def test_edits_other_files_and_other_keys() -> None:
    sealed, (line, _) = SealedLines(KEY, "shop"), sealed_lines_of(2)
    for at in range(len(line)):
        assert sealed.text(line[:at] + chr(ord(line[at]) ^ 1) + line[at + 1 :]) is None
        assert sealed.text(line[:at]) is None
    assert SealedLines(KEY, "shop2").text(line) is None
    assert sealed.text(sealed_lines_of(1, key=b"x" * 32)[0]) is None
    assert sealed.text("\u00e9 - {}") is None
    assert SealedLines(b"", "shop").line("{}") == ""
    assert SealedLines(b"", "shop").text(line) is None
