"""What the performance suite must notice, and what must stay green."""

from __future__ import annotations

from pytest_prodcheck.demo.faults.fault import Fault

FAULTS: tuple[Fault, ...] = ()

BENIGN: tuple[Fault, ...] = ()
