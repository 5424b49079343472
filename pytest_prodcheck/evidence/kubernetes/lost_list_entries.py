"""Lists of the file that come out shorter: a patch by keys merges two entries of one key, a port by TCP and by UDP.

https://github.com/kubernetes/kubernetes/issues/105610
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_prodcheck.evidence.kubernetes.objects import Object


def shorter(item: Object, result: Object) -> tuple[str, ...]:
    """Each list of the object of which the result keeps fewer entries: "spec.ports: 1 of 2 entries would be left"."""
    return tuple(_shorter("", item, result))


def _shorter(where: str, told: Any, made: Any) -> Iterator[str]:
    if isinstance(told, dict) and isinstance(made, dict):
        for name in told.keys() & made.keys():
            yield from _shorter(f"{where}.{name}" if where else str(name), told[name], made[name])
    elif isinstance(told, list) and isinstance(made, list):
        if len(made) < len(told):
            yield f"{where}: only {len(made)} of {len(told)} entries would remain, because some have the same key"
        else:
            for number, (one, other) in enumerate(zip(told, made, strict=False)):
                yield from _shorter(f"{where}[{number}]", one, other)
