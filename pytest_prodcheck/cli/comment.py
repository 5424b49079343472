"""`prodcheck comment`: a saved run as a comment on its pull request, which each later run edits."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.delivery.code_hosts import Place

EXAMPLES = """\
  prodcheck comment                                          in GitHub Actions or GitLab CI: the newest run
  prodcheck comment --env production --dry-run               print it and where it would go; send nothing
  prodcheck comment latest --on github --project shop/shop --number 7      elsewhere, with GITHUB_TOKEN set
"""
_AT_GITHUB = re.compile(r"(?!\.+/|.*/\.+\Z)[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck comment`."""
    about = "id of the run, the start of the id, or the run's folder (default: latest); several runs are shown as one"
    parser.add_argument("runs", nargs="*", metavar="RUN", help=about)
    parser.add_argument("--env", default="", metavar="NAME", help="only runs of this environment")
    parser.add_argument(
        "--on", choices=("github", "gitlab"), help="the server (default: recognised by the variables that CI sets)"
    )
    parser.add_argument("--project", metavar="NAME", help="owner/name at GitHub, path or number at GitLab")
    parser.add_argument("--number", type=int, metavar="N", help="number of the pull request or merge request")
    parser.add_argument("--api", metavar="URL", help="address of the REST API of a self-hosted server")
    parser.add_argument("--dry-run", action="store_true", help="print the comment and where it would go; send nothing")


def main(args: argparse.Namespace) -> int:
    """Writes the comment; 0 also where the pipeline is about no pull request, 2 where it could not be written."""
    from pytest_prodcheck.cli.report import chosen
    from pytest_prodcheck.delivery.code_hosts import token
    from pytest_prodcheck.delivery.comments import NotCommented, comment, cut
    from pytest_prodcheck.gates.paths import state_folder
    from pytest_prodcheck.reports.escaping import safe
    from pytest_prodcheck.reports.markdown import run_markdown
    from pytest_prodcheck.reports.saved_runs import NoSuchRun, unfinished

    try:
        place = _place(args)
        _, run, verdicts = chosen(args.runs, args.env)
        if not place.number:
            print(f"prodcheck comment: this pipeline does not belong to a {place.host.request}; no comment was written")
            return 0
        if not args.runs and (left := unfinished(Path(state_folder(os.getcwd())), args.env)):
            raise NoSuchRun(f"the newest run, {left}, has not ended, so no comment was written: see what ended it")
        text = run_markdown(run, verdicts)
        if args.dry_run:
            print(f"{safe(place)}, at {safe(place.api)}:\n\n{cut(text, place.host.most)}")
            return 0
        signed = token(place.host, os.environ)
        if not signed:
            raise NotCommented(f"no token: set {place.host.tokens[0]}; it needs {place.host.right}")
        print(f"prodcheck comment: {safe(comment(place, signed, text))}")
    except (NoSuchRun, NotCommented, ValueError, OSError) as error:
        print(f"prodcheck comment: {safe(error)}", file=sys.stderr)
        return 2
    return 0


def _place(args: argparse.Namespace) -> Place:
    """As the CI says, but for what the options say; ValueError where something is missing."""
    from pytest_prodcheck.delivery.code_hosts import GITHUB, HOSTS, Place, recognised

    found = recognised(os.environ)
    host = HOSTS[args.on] if args.on else found.host if found else None
    if host is None:
        raise ValueError(
            "neither GitHub Actions nor GitLab CI is recognised here: name --on, --project and --number, "
            "or post what `prodcheck report --format markdown` prints"
        )
    same = found if found is not None and found.host is host else Place(host, host.api, "", 0)
    place = Place(host, (args.api or same.api).rstrip("/"), args.project or same.project, args.number or same.number)
    if not place.project or (host is GITHUB and not _AT_GITHUB.fullmatch(place.project)):
        raise ValueError("name the project: --project owner/name at GitHub, its path or number at GitLab")
    if place.number < 0 or (not place.number and found is None):
        raise ValueError(f"name the {host.request}: --number N")
    return place
