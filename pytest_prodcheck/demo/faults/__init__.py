"""What the demo can break, and what it can do that a healthy production does all day."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pytest_prodcheck.demo.faults import (
    data_integrity,
    performance,
    recovery,
    release,
    security_access,
    security_tls,
    security_web,
    smoke,
    vulnerabilities,
)
from pytest_prodcheck.demo.faults.fault import Fault
from pytest_prodcheck.demo.runtime.errors import DemoError

_TABLES = (
    smoke, security_tls, security_web, security_access, vulnerabilities, data_integrity, recovery, performance,
    release,
)  # fmt: skip
FAULTS: dict[str, Fault] = {fault.name: fault for table in _TABLES for fault in table.FAULTS}
BENIGN: dict[str, Fault] = {fault.name: fault for table in _TABLES for fault in table.BENIGN}


def checked(names: Iterable[str]) -> tuple[str, ...]:
    """The names without repetitions; DemoError for unknown ones, with close matches, and for such as exclude others."""
    wanted = tuple(dict.fromkeys(names))
    known = FAULTS | BENIGN
    parts: dict[str, str] = {}
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, 3, 0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else "`prodcheck demo --list-faults` shows them all"
            raise DemoError(f"unknown fault {name!r}: {hint}")
        part = known[name].part
        if part and part in parts:
            raise DemoError(f"{parts[part]} and {name} both change {part}: switch on one of them")
        parts[part] = name
    return wanted


def list_faults() -> str:
    """All faults as text: what each breaks, and which check must notice."""
    lines = ["Faults (the checks after -> must detect the fault):"]
    for fault in FAULTS.values():
        lines += [f"  {fault.name:<28} {fault.breaks}", f"  {'':<28} -> {', '.join(fault.notices)}"]
    lines += ["", "Benign changes (they happen in a healthy production; no check may fail):"]
    lines += [f"  {fault.name:<28} {fault.breaks}" for fault in BENIGN.values()]
    return "\n".join(lines)


__all__ = ["BENIGN", "FAULTS", "Fault", "checked", "list_faults"]
