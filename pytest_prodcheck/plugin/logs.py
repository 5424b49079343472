"""Logs are shown as things happen, past the reports, by pytest and by other plugins: they are redacted here."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

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


def redact_records(redact: Callable[[str], str]) -> Callable[[], None]:
    """Blanks secrets in log records as they are made, whoever handles them; returns how to end it."""
    before = logging.getLogRecordFactory()

    def make(*args: Any, **named: Any) -> logging.LogRecord:
        record = before(*args, **named)
        _redact_record(record, redact)
        return record

    def give_back() -> None:
        if logging.getLogRecordFactory() is make:
            logging.setLogRecordFactory(before)

    logging.setLogRecordFactory(make)
    return give_back


def _redact_record(record: logging.LogRecord, redact: Callable[[str], str]) -> None:
    with suppress(Exception):  # what cannot be formatted, logging itself complains of
        said = record.getMessage()
        if (clean := redact(said)) != said:
            record.msg, record.args = clean, None
    if record.exc_info and record.exc_info[1] is not None:
        shown = logging.Formatter().formatException(record.exc_info)
        if (clean := redact(shown)) != shown:
            record.exc_info, record.exc_text = None, clean
    if record.stack_info:
        record.stack_info = redact(record.stack_info)


def redact_stderr(redact: Callable[[str], str]) -> Callable[[], None]:
    """Blanks secrets in what Python shows at once where pytest does not listen; returns how to end it.

    Warnings, and logs without a handler.
    """
    before, last = warnings.showwarning, logging.lastResort
    if last is not None:
        last.setFormatter(_Redacting(None, redact))

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        before(redact(str(message)), category, filename, lineno, file, line)

    def give_back() -> None:
        if last is not None:
            last.setFormatter(None)
        if warnings.showwarning is show:
            warnings.showwarning = before

    warnings.showwarning = show
    return give_back


def mute_logs(config: pytest.Config) -> None:
    """Keeps an xdist worker, which does not know the secrets, from logging past the reports."""
    for handler in _handlers(config):
        handler.addFilter(lambda record: False)


def _handlers(config: pytest.Config) -> list[logging.Handler]:
    plugin = config.pluginmanager.get_plugin("logging-plugin")
    found = [getattr(plugin, name, None) for name in ("log_cli_handler", "log_file_handler")]
    return [each for each in found if isinstance(each, logging.Handler)]
