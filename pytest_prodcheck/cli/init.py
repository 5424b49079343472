"""`prodcheck init`: writes a first prodcheck.toml, and never over another one."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pytest_prodcheck.cli.complaining import complain

EXAMPLES = """\
  prodcheck init                 writes ./prodcheck.toml, and prodcheck.schema.json for editors
  prodcheck init deploy/         writes deploy/prodcheck.toml
  prodcheck init --from https://shop.example         a proposal from what this URL answers
  prodcheck init --from openapi.json --env staging   also a kubeconfig or a compose.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck init`."""
    parser.add_argument("path", nargs="?", default=".", metavar="PATH", help="folder or file (default: here)")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    sources = "write a proposal from a URL, an OpenAPI document, a kubeconfig or a compose file"
    parser.add_argument("--from", dest="source", metavar="SOURCE", help=sources)
    parser.add_argument(
        "--env", default="production", metavar="NAME", help="with --from: name of the environment (default: production)"
    )


def main(args: argparse.Namespace) -> int:
    """Writes the file; 2 where one is there or it cannot be written."""
    from pytest_prodcheck.environments.init_template import SCHEMA_FILE
    from pytest_prodcheck.environments.schema import schema

    path = Path(args.path)
    path = path / "prodcheck.toml" if path.is_dir() else path
    if path.name != "prodcheck.toml":
        print(
            f"prodcheck init: {path}: the file must be named prodcheck.toml; give that name, or a folder",
            file=sys.stderr,
        )
        return 2
    if path.exists() and not args.force:  # before anything is asked
        print(f"prodcheck init: {path} already exists; --force replaces it", file=sys.stderr)
        return 2
    try:
        text = _text(args)
    except ValueError as error:
        complain("init", error)
        return 2
    try:
        with path.open("w" if args.force else "x", encoding="utf-8") as file:
            file.write(f"#:schema ./{SCHEMA_FILE}\n{text}")
        path.with_name(SCHEMA_FILE).write_text(json.dumps(schema(), ensure_ascii=False), encoding="utf-8")
    except FileExistsError:
        print(f"prodcheck init: {path} already exists; --force replaces it", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"prodcheck init: {path} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    if args.source:
        then = f"prodcheck plan smoke --env {args.env}, and prodcheck run smoke --env {args.env}"
        print(f"{path} was written. Review it, then run: {then}")
    else:
        print(f"{path} was written. Enter your service's address, then run: prodcheck plan smoke --env production")
    return 0


def _text(args: argparse.Namespace) -> str:
    """What the file holds; raises ValueError where nothing can be proposed."""
    if not args.source:
        from pytest_prodcheck.environments.init_template import STARTER

        return STARTER
    from pytest_prodcheck.gates.paths import is_name
    from pytest_prodcheck.proposals.proposal import CannotPropose, toml
    from pytest_prodcheck.proposals.sources import propose

    if not is_name(args.env):
        raise ValueError(f"{args.env!r} is not a valid name for an environment")
    try:
        text = toml(propose(args.source), args.env, _without_credentials(args.source))
    except CannotPropose as error:
        raise ValueError(str(error)) from None
    _refuse_invalid(text)
    return text


def _without_credentials(source: str) -> str:
    """The source without a login and a query."""
    scheme, slashes, rest = source.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}" if slashes else Path(source).name


def _refuse_invalid(text: str) -> None:
    """Raises ValueError for a proposal that prodcheck itself would refuse."""
    import tempfile

    from pytest_prodcheck.environments.loading import ConfigurationError, load

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prodcheck.toml"
        file.write_text(text, encoding="utf-8")
        try:
            load(file)
        except ConfigurationError as error:
            told = str(error).replace(f"{folder}/", "")
            raise ValueError(f"the proposal from this source is not a valid prodcheck.toml: {told}") from None
