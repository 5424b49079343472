"""The control plane of `tests/cluster`, one for both folders."""

from __future__ import annotations

from tests.cluster.conftest import plane

__all__ = ["plane"]
