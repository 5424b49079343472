"""`prodcheck show`: a saved run as text or JSON; `prodcheck report` writes files and the other formats."""

from __future__ import annotations

import argparse

EXAMPLES = """\
  prodcheck show                          the newest run
  prodcheck show --env production         the newest run of an environment
  prodcheck show 20261130T1007 --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck show`."""
    about = "id of the run, the start of the id, or the run's folder (default: latest)"
    parser.add_argument("runs", nargs="?", metavar="RUN", help=about)
    parser.add_argument("--env", default="", metavar="NAME", help="only runs of this environment")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")
    parser.set_defaults(output=None, html=None, json=None, sarif=None, junit=None)


def main(args: argparse.Namespace) -> int:
    """Prints the run; 2 for one that is not there."""
    from pytest_prodcheck.cli import report

    args.runs = [args.runs] if args.runs else []
    return report.main(args)
