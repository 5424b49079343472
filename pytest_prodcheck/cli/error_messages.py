"""Says why a command did not do it: a message may quote what others wrote, which no terminal and no CI may obey."""

from __future__ import annotations

import sys

_LONGEST = 100_000  # characters of a line


def complain(command: str, error: object) -> None:
    """On standard error, "prodcheck COMMAND: …", made safe. Only the mistakes of prodcheck.toml are several lines."""
    from pytest_prodcheck.environments.toml.errors import ConfigurationError
    from pytest_prodcheck.reports.escaping import safe

    text = f"prodcheck {command}: {error}"
    for line in text.split("\n") if isinstance(error, ConfigurationError) else (text,):
        print(safe(line, most=_LONGEST), file=sys.stderr)
