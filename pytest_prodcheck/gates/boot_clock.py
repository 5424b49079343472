"""The clock that nobody sets: seconds since this machine started, and which start that was. Light."""

from __future__ import annotations

import time

_ID = "/proc/sys/kernel/random/boot_id"


def since_boot() -> tuple[str, float]:
    """The id of this boot and the seconds since it, sleep included; ("", 0.0) where the system tells neither."""
    try:
        with open(_ID, encoding="utf-8") as file:
            return file.read(64).strip(), time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, ValueError, AttributeError):
        return "", 0.0
