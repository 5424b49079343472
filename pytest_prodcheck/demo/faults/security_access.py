"""What the checks of authentication, authorization and encryption must notice, and what must stay green."""

from __future__ import annotations

from pytest_prodcheck.demo.faults.fault import Fault

FAULTS: tuple[Fault, ...] = ()

BENIGN: tuple[Fault, ...] = ()
