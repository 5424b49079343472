"""Whatever is done to a valid file, it loads or every mistake is told; never anything else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pytest_prodcheck.environments.loading import ConfigurationError, load
from pytest_prodcheck.environments.targets import settings_of, targets, undeclared_kinds
from tests.environments.support import DATA, with_reference_files, write
from tests.environments.test_inheritance import TEXT as INHERITANCE
from tests.environments.test_targets import TEXT as TARGETS
from tests.soak import SOAK

ROUNDS = 10_000 if SOAK else 500
PIECES = [
    "false", "true", "0", "-1", "1e400", "nan", "inf", '""', "[]", "{}", "[[]]", '"{x}"', '"{"', "{ a = 1 }",
    "1979-05-27", "07:32:00", '"a\\u0000b"', "99999999999999999999", '"é\\n"', "'''x'''", '[1, "a"]', '"off"',
    "0x1F", '"../.."', '"~"',
]  # fmt: skip
STRINGS = ("", "x", "a b", "{nope}", "{{sku}}", "a:b:c", "[", "\\u0000")
TEXTS = [(DATA / "reference.toml").read_text(encoding="utf-8"), INHERITANCE, TARGETS]


def mutated(text: str, chance: random.Random) -> bytes:
    lines = text.splitlines()
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        number = chance.randrange(len(lines))
        line = lines[number]
        match chance.randrange(8):
            case 0:
                del lines[number]
            case 1:
                lines.insert(chance.randrange(len(lines)), line)
            case 2:
                key, equals, _ = line.partition("=")
                lines[number] = f"{key}{equals} {chance.choice(PIECES)}"
            case 3:
                at = chance.randrange(len(line) + 1)
                lines[number] = line[:at] + line[at + chance.randrange(1, 4) :]
            case 4:
                at = chance.randrange(len(line) + 1)
                lines[number] = line[:at] + chance.choice("[]{}=.,\"'#\\ab1-\t") + line[at:]
            case 5:
                words = line.split('"')
                if len(words) > 2:
                    words[chance.randrange(1, len(words), 2)] = chance.choice(STRINGS)
                lines[number] = '"'.join(words)
            case 6:
                lines[number] = line.replace(".", chance.choice(("..", "_", '."".', " . ")), 1)
            case 7:
                lines.insert(number, chance.choice(PIECES))
        if not lines:
            return b""
    raw = "\n".join(lines).encode()
    if chance.random() < 0.05:
        at = chance.randrange(len(raw))
        raw = raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :]
    return raw


@pytest.mark.parametrize("part", range(5))
def test_mutations_load_or_are_told(part: int, tmp_path: Path) -> None:
    with_reference_files(tmp_path)
    write(tmp_path, "{}", "s.json")
    path = tmp_path / "prodcheck.toml"
    good, told = 0, dict[int, ConfigurationError]()
    for number in range(part, ROUNDS, 5):
        chance = random.Random(number)
        path.write_bytes(mutated(TEXTS[number % len(TEXTS)], chance))
        try:
            configuration = load(path)
        except ConfigurationError as error:
            told[number] = error
            continue
        good += 1
        for name in configuration.project.environments:
            environment = configuration.environment(name)
            configuration.provenance(environment)
            configuration.digest(environment)
            undeclared_kinds(environment)
            for target in targets(environment, configuration):
                settings_of(environment, target)
    assert good > 5
    for number, found in told.items():
        assert found.problems, number
        assert all(each.file and each.message and str(each).isprintable() for each in found.problems), (number, found)
