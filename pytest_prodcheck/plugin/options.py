"""The command line options of the plugin, and which of pytest's own only inform."""

from __future__ import annotations

import argparse
import os
import re
from typing import Literal

import pytest

# pytest's modes that run no test: they touch no gate (each exits 0 whatever happened before)
INFORMING = (
    "collectonly",
    "help",
    "version",
    "markers",
    "showfixtures",
    "show_fixtures_per_test",
    "setuponly",
    "setupplan",
    "cacheshow",
)


# ini option -> option that it is the default of. What a run is about has none: environment, unit, slot, revision, gate,
# nor has what narrows it or lets it do more.
DEFAULTS = {
    "prodcheck_vantage": "vantage",
    "prodcheck_wait": "wait",
    "prodcheck_strict_gate": "strict_gate",
    "prodcheck_report": "prodcheck_report",
    "prodcheck_json": "prodcheck_json",
    "prodcheck_html": "prodcheck_html",
    "prodcheck_sarif": "prodcheck_sarif",
}


def add_options(parser: pytest.Parser) -> None:
    """Adds the options; `--env` only where a team's conftest has none of its own, `--prodcheck-env` always."""
    group = parser.getgroup("prodcheck", "validation for production (prodcheck)")
    add = group.addoption
    names = ("--env", "--prodcheck-env") if _is_free("--env") else ("--prodcheck-env",)
    told = "check this environment of prodcheck.toml; without this option the plugin does nothing"
    add(*names, dest="prodcheck_env", metavar="NAME", help=told)
    add("--revision", metavar="REV", help="the revision being deployed; also PRODCHECK_REVISION or prodcheck.toml")
    add("--unit", default="", action=_NotEmpty, metavar="NAME", help="only this unit (services deployed together)")
    add("--slot", default="", action=_NotEmpty, metavar="NAME", help="the copy to check: blue, green, canary")
    add(
        "--vantage",
        action=_NotEmpty,
        metavar="NAME",
        help="network location to probe from (default: outside)",
    )
    add("--gate", action="append", default=[], metavar="NAME", help="evaluate this gate; may be repeated")
    add("--no-gate", action="store_true", help="run the checks without changing any gate")
    add("--strict-gate", action="store_true", default=None, help="warnings block too")
    add("--wait", type=_seconds, metavar="DURATION", help="wait at most this long for the system to be ready: 2m")
    add(
        "--allow-write",
        action="append",
        default=[],
        metavar="WORKFLOW",
        help="allow this writing workflow on a protected environment",
    )
    add("--allow-load", action="append", default=[], metavar="LOAD", help="allow this load on a protected environment")
    add(
        "--allow-check",
        action="append",
        default=[],
        metavar="ID",
        help="allow this intrusive check on a protected environment",
    )
    add(
        "--evidence-from",
        action=_NotEmpty,
        metavar="RUN",
        help="judge the saved evidence of this run again; opens no gate",
    )
    add("--prodcheck-report", metavar="FILE", help="write the text report to FILE")
    add("--prodcheck-json", metavar="FILE", help="write the JSON report to FILE")
    add("--prodcheck-html", metavar="FILE", help="write the HTML report, one self-contained file, to FILE")
    add("--prodcheck-sarif", metavar="FILE", help="write a SARIF 2.1.0 file for code-scanning pages to FILE")
    add("--prodcheck-run", metavar="ID", help=argparse.SUPPRESS)
    add("--prodcheck-select", action="store_true", help="run only the checks that the named gates select")


def add_settings(parser: pytest.Parser) -> None:
    """Adds the settings of pytest.ini, pyproject.toml and their like."""
    for name, option in DEFAULTS.items():
        kind: Literal["bool", "string"] = "bool" if option == "strict_gate" else "string"
        parser.addini(name, f"default of --{option.replace('_', '-')}", type=kind, default=None)


def fill_in(config: pytest.Config) -> None:
    """Gives options that the command line leaves out the value of pytest's settings, else their own default."""
    options = config.known_args_namespace
    for name, option in DEFAULTS.items():
        value = config.getini(name)
        if getattr(options, option) is not None or value in (None, ""):
            continue
        if option == "wait":
            try:
                value = _seconds(value)
            except argparse.ArgumentTypeError as error:
                raise pytest.UsageError(f"prodcheck: {name}: {error}") from None
        elif option.startswith("prodcheck_") and config.inipath is not None:
            value = str(config.inipath.parent / value)
        setattr(options, option, value)
    options.vantage = options.vantage or "outside"
    options.wait = options.wait or 0.0


def _is_free(option: str) -> bool:
    """Whether no conftest here or one folder below adds an option of that name: it is the team's own then."""
    adds = re.compile(rb"addoption\(\s*[\"']" + re.escape(option.encode()) + rb"[\"']")
    try:
        folders = ["", *(each.name for each in os.scandir() if each.is_dir())]
    except OSError:  # a folder that is gone or may not be read holds no conftest for pytest either
        return True
    for folder in folders:
        try:
            with open(os.path.join(folder, "conftest.py"), "rb") as stream:
                if adds.search(stream.read(1_000_000)):
                    return False
        except OSError:
            continue
    return True


class _NotEmpty(argparse.Action):
    """Refuses `--slot "$UNSET"`: it would be about something else than was meant."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        if not str(values).strip():
            raise argparse.ArgumentError(self, "it is empty: is a variable of the pipeline not set?")
        setattr(namespace, self.dest, values)


def _seconds(text: str) -> float:
    from pytest_prodcheck.quantities import parse_duration

    try:
        return parse_duration(text) if not text.replace(".", "", 1).isdigit() else float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def only_informs(options: argparse.Namespace) -> bool:
    """Whether pytest was asked to tell something instead of running tests."""
    return any(getattr(options, name, None) for name in INFORMING)
