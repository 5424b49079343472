"""Settings that what is deployed will read; without their values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SettingFound:
    """One declared setting. Its value was looked at and forgotten."""

    name: str
    secret: bool  # as declared, else as its name sounds
    optional: bool  # it may be missing
    present: bool
    empty: bool = False  # it is there and has no value
    wrong: str = ""  # why it is not what it has to be, "" where it is; names the value only of what is no secret
    placeholder: str = ""  # what a value that nobody filled in looks like: '"change me"', "" for a real one
    known: bool = False  # a secret that everybody knows, such as the default of an image


@dataclass(frozen=True)
class ConfiguredSettings:
    """`configured-settings` (settings): the declared settings of one file or ConfigMap."""

    source: str
    settings: tuple[SettingFound, ...]
