"""Clocks of two machines are never quite the same."""

from pytest_prodcheck import Limit

AHEAD = 300.0  # seconds that two clocks may differ; what is dated later than that is from the future
FROM_THE_FUTURE = {"largest time in the future": Limit(fail=f"{AHEAD:.0f}s")}
