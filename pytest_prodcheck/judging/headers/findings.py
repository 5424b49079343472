"""What is wrong with one answer, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Findings:
    """failed: what takes the protection away. warned: what weakens it. Both empty: good."""

    failed: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()

    def __add__(self, other: Findings) -> Findings:
        """Both together."""
        return Findings(self.failed + other.failed, self.warned + other.warned)


def fails(*reasons: str) -> Findings:
    """Findings of something that does not protect."""
    return Findings(failed=reasons)


def warns(reasons: Iterable[str]) -> Findings:
    """Findings of something that protects less than it could."""
    return Findings(warned=tuple(reasons))
