"""`prodcheck init`: writes a first prodcheck.toml, and never over another one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

EXAMPLES = """\
  prodcheck init                 writes ./prodcheck.toml
  prodcheck init deploy/         writes deploy/prodcheck.toml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck init`."""
    parser.add_argument("path", nargs="?", default=".", metavar="PATH", help="folder or file (default: here)")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def main(args: argparse.Namespace) -> int:
    """Writes the file; 2 where one is there or it cannot be written."""
    from pytest_prodcheck.environments.init_template import STARTER

    path = Path(args.path)
    path = path / "prodcheck.toml" if path.is_dir() else path
    if path.name != "prodcheck.toml":
        print(f"prodcheck init: {path}: the file has to be named prodcheck.toml, or give a folder", file=sys.stderr)
        return 2
    try:
        with path.open("w" if args.force else "x", encoding="utf-8") as file:
            file.write(STARTER)
    except FileExistsError:
        print(f"prodcheck init: {path} is there already; --force replaces it", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"prodcheck init: {path} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{path} is written. Put your service's address in it, then: prodcheck plan --env production")
    return 0
