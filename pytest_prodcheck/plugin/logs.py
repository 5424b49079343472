"""pytest's live log and log file are written as things happen, past the reports: they are redacted here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


class _Redacting(logging.Formatter):
    def __init__(self, inner: logging.Formatter | None, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(self._inner.format(record))


def redact_logs(config: pytest.Config, redact: Callable[[str], str]) -> None:
    """Blanks secrets in what pytest logs to the terminal and to `--log-file`; call it once the session has begun."""
    for handler in _handlers(config):
        handler.setFormatter(_Redacting(handler.formatter, redact))


def mute_logs(config: pytest.Config) -> None:
    """Keeps an xdist worker, which does not know the secrets, from logging past the reports."""
    for handler in _handlers(config):
        handler.addFilter(lambda record: False)


def _handlers(config: pytest.Config) -> list[logging.Handler]:
    plugin = config.pluginmanager.get_plugin("logging-plugin")
    found = [getattr(plugin, name, None) for name in ("log_cli_handler", "log_file_handler")]
    return [each for each in found if isinstance(each, logging.Handler)]
