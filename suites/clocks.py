"""Clocks of two machines are never quite the same."""

AHEAD = 300.0  # seconds that two clocks may differ; what is dated later than that is from the future
