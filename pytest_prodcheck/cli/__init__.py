"""The command line. `prodcheck gate` takes a fast path without argparse; everything else is loaded when asked for."""

from __future__ import annotations

import io
import os
import sys

COMMANDS: dict[str, tuple[str, str]] = {  # name -> module, one line of help
    "gate": ("pytest_prodcheck.cli.gate", "ask a gate: 0 open, 1 blocked, 2 usage, 3 cannot tell, 4 refused"),
    "run": ("pytest_prodcheck.cli.run", "gather, judge, write the verdicts and answer like gate"),
    "exec": ("pytest_prodcheck.cli.exec", "run a command if a gate is open, and record it"),
    "override": ("pytest_prodcheck.cli.override", "open a closed gate for a while, with a reason"),
    "record-backup": ("pytest_prodcheck.cli.record_backup", "write down what a database holds, beside a new backup"),
    "demo": ("pytest_prodcheck.cli.demo", "start the embedded system in the foreground"),
    "plan": ("pytest_prodcheck.cli.plan", "list what would be sent to whom, send nothing"),
    "grants": ("pytest_prodcheck.cli.grants", "print the SQL for the rights that PostgreSQL roles need"),
    "checks": ("pytest_prodcheck.cli.checks", "list the checks with the limits in force"),
    "env": ("pytest_prodcheck.cli.env", "show an environment as resolved, and where each value comes from"),
    "init": ("pytest_prodcheck.cli.init", "write a first prodcheck.toml"),
    "schema": ("pytest_prodcheck.cli.schema", "print the JSON Schema of prodcheck.toml, for editors"),
}


def _mend_streams() -> None:
    """Without UTF-8 letters are lost, and with closed streams all words: never the answer, which is the exit code."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code; never raises."""
    arguments = sys.argv[1:] if argv is None else argv
    _mend_streams()
    try:
        if arguments[:1] == ["gate"]:
            from pytest_prodcheck.cli.gate import fast

            code = fast(arguments[1:])
            if code is not None:
                return code
        from pytest_prodcheck.cli.parsing import dispatch

        return dispatch(arguments)
    except KeyboardInterrupt:
        print("prodcheck: interrupted: cannot tell", file=sys.stderr)
        return 3
    except Exception as error:  # the last resort: whatever broke, it may not look like an open gate
        from pytest_prodcheck.cli.parsing import unexpected

        return unexpected(error)
