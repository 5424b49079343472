"""Everything about the command line that has time: help, errors, all commands but an ordinary `prodcheck gate`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from pytest_prodcheck.cli.commands import COMMANDS, NEED_NO_CONFIGURATION, OLD_NAMES
from pytest_prodcheck.gates.paths import CONFIGURATION

EXIT_CODES = """\
exit codes of gate, run and exec:
  0 open, go             1 blocked: proven bad        2 usage or configuration error
  3 cannot tell          4 refused: stale, other environment, unit, slot, revision or configuration, bad seal
"""


def dispatch(argv: list[str]) -> int:
    """Runs the command that is named first; 2 for a mistake on the command line."""
    name = argv[0] if argv else "--help"
    if name in ("--help", "-h"):
        print(overview())
        return 0 if argv else 2
    if name == "--version":
        from pytest_prodcheck import __version__

        print(f"prodcheck {__version__}")
        return 0
    if name == "help":
        return dispatch([*argv[1:2], "--help"])
    if name.startswith("-"):
        print(f"prodcheck: the command comes first: prodcheck COMMAND {name[:40]} …", file=sys.stderr)
        return 2
    if name not in COMMANDS:
        print(f"prodcheck: there is no command {name!r}{_close(name)}; `prodcheck --help` lists all", file=sys.stderr)
        return 2
    return _run(name, argv[1:])


def overview() -> str:
    """What `prodcheck --help` prints."""
    rows = "\n".join(f"  {name:15}{line}" for name, (_, line) in COMMANDS.items())
    return f"usage: prodcheck COMMAND …\n\n{rows}\n\n`prodcheck COMMAND --help` shows its options.\n\n{EXIT_CODES}"


def unexpected(error: Exception) -> int:
    """Tells of an error that nobody foresaw: 3, because it says nothing about the system."""
    if isinstance(error, BrokenPipeError):
        mute()
        return 3
    if os.environ.get("PRODCHECK_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    said = " ".join(str(error).split())[:300]
    print(
        f"prodcheck: cannot tell, because of an error in prodcheck itself: {type(error).__name__}: {said}\n"
        "prodcheck: please report it with what PRODCHECK_DEBUG=1 prints",
        file=sys.stderr,
    )
    return 3


def mute() -> None:
    """Sends what is still to be printed nowhere, so that a reader who went away does not change the exit code."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of one command of `COMMANDS`."""
    parser = argparse.ArgumentParser(prog=f"prodcheck {name}", **_texts(name))
    _add_arguments(name, parser)
    return parser


def _add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    import_module(COMMANDS[name][0]).add_arguments(parser)
    if name not in NEED_NO_CONFIGURATION:
        parser.add_argument(
            "-C", "--config", metavar="PATH", help="prodcheck.toml, or its folder (default: here or above)"
        )


def parser_of_all_commands() -> argparse.ArgumentParser:
    """One parser with all commands, which shells complete by."""
    parser = argparse.ArgumentParser(prog="prodcheck")
    commands = parser.add_subparsers(dest="command")
    for name, (_, line) in COMMANDS.items():
        _add_arguments(name, commands.add_parser(name, help=line, **_texts(name)))
    return parser


def _texts(name: str) -> dict[str, Any]:
    module, line = COMMANDS[name]
    return {
        "description": line,
        "epilog": f"examples:\n{import_module(module).EXAMPLES}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }


def _run(name: str, argv: list[str]) -> int:
    parser = parser_of(name)
    own, rest = _split(argv)
    if empty := next(_empty(own), ""):
        print(f"prodcheck {name}: {empty} is empty: is a variable of the pipeline not set?", file=sys.stderr)
        return 2
    try:
        args = parser.parse_args(own)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    args.rest, args.started_in = rest, os.getcwd()
    for old, new in OLD_NAMES.get(name, {}).items():
        if any(word == old or word.startswith(f"{old}=") for word in own):
            print(f"prodcheck {name}: {old} is now called {new}; the next release removes {old}", file=sys.stderr)
    if rest is not None and name not in ("run", "exec"):
        print(f"prodcheck {name}: this command takes no arguments after --", file=sys.stderr)
        return 2
    if getattr(args, "config", None) and (wrong := _change_folder(args, parser)):
        print(f"prodcheck {name}: {wrong}", file=sys.stderr)
        return 2
    code: int = import_module(COMMANDS[name][0]).main(args)
    try:
        sys.stdout.flush()
    except OSError:
        mute()
    return code


def _change_folder(args: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """Goes to the folder of `--config`, keeping the files of other options where they are; what is wrong, or ""."""
    place = args.config if os.path.isdir(args.config) else os.path.dirname(args.config)
    file = os.path.join(place, CONFIGURATION)
    if not os.path.isfile(file) or args.config not in (place, file):
        return f"--config {args.config}: there is no {CONFIGURATION}; name the file or its folder"
    for action in parser._actions:
        given = getattr(args, action.dest, None)
        if isinstance(given, str):
            setattr(args, action.dest, _absolute_path(action.metavar, given))
        elif isinstance(given, list):
            setattr(args, action.dest, [_absolute_path(action.metavar, each) for each in given])
    os.chdir(place or ".")
    return ""


def _absolute_path(metavar: object, given: Any) -> Any:
    """A file, or the folder of a run, by its whole path; anything else as it is."""
    is_path = metavar == "FILE" or (metavar == "RUN" and "/" in str(given))
    return os.path.abspath(given) if isinstance(given, str) and given and is_path else given


def _split(argv: list[str]) -> tuple[list[str], list[str] | None]:
    """What stands before and after the first `--`; None where there is none."""
    if "--" not in argv:
        return argv, None
    place = argv.index("--")
    return argv[:place], argv[place + 1 :]


def _empty(argv: list[str]) -> Iterator[str]:
    """The options that are given nothing: what that would mean is never what whoever wrote `"$SLOT"` meant."""
    for before, word in zip(["", *argv], argv, strict=False):
        if not word.strip() and before.startswith("--") and "=" not in before:
            yield before
        elif word.startswith("--") and word.endswith("=") and "=" not in word[:-1]:
            yield word[:-1]


def _close(name: str) -> str:
    import difflib

    found = difflib.get_close_matches(name, COMMANDS, n=1)
    return f" (did you mean `{found[0]}`?)" if found else ""
