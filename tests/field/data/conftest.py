"""Servers of the demo, as the tests of evidence have them."""

from tests.evidence.conftest import running

__all__ = ["running"]
