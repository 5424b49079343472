"""The command line. `prodcheck gate` takes a fast path without argparse; everything else is loaded when asked for."""

from __future__ import annotations

import io
import os
import sys


def _repair_streams() -> None:
    """Without UTF-8 letters are lost, and with closed streams all words: never the answer, which is the exit code."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _exit_without_teardown(code: int) -> int:
    """Ends the process of a command that holds nothing: tearing an interpreter down takes an eighth of its time."""
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 - contextlib would cost what this saves
            stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads it any more: the answer is the exit code
    os._exit(code)


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code; never raises."""
    arguments = sys.argv[1:] if argv is None else argv
    _repair_streams()
    try:
        if arguments[:1] == ["gate"]:
            from pytest_prodcheck.cli.gate import fast

            code = fast(arguments[1:])
            if code is not None:
                return code if argv is not None else _exit_without_teardown(code)
        from pytest_prodcheck.cli.parsing import dispatch

        return dispatch(arguments)
    except KeyboardInterrupt:
        print("prodcheck: interrupted: cannot tell", file=sys.stderr)
        return 3
    except Exception as error:  # the last resort: whatever broke, it may not look like an open gate
        try:
            from pytest_prodcheck.cli.parsing import unexpected
        except Exception:  # no file can be opened any more
            sys.stderr.write(f"prodcheck: cannot tell: {error}\n")
            return 3
        return unexpected(error)
