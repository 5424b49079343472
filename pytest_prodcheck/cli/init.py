"""`prodcheck init`: writes a first prodcheck.toml, and never over another one."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.cli.error_messages import complain

if TYPE_CHECKING:
    from pytest_prodcheck.proposals.proposal import Proposal

EXAMPLES = """\
  prodcheck init                 writes ./prodcheck.toml, and prodcheck.schema.json for editors
  prodcheck init deploy/         writes deploy/prodcheck.toml
  prodcheck init --from https://shop.example         a proposal from what this URL answers
  prodcheck init --from https://shop.internal --ca company-ca.pem
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
    trust = "with --from: trust the CA certificates (PEM) of FILE; the services that are written get it as `tls.ca`"
    parser.add_argument("--ca", metavar="FILE", help=trust)


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
        text = _text(args, path.parent)
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


def _text(args: argparse.Namespace, folder: Path) -> str:
    """What the file in the folder holds; raises ValueError where nothing can be proposed."""
    if not args.source:
        if args.ca:
            raise ValueError("--ca is for --from: name a source")
        from pytest_prodcheck.environments.init_template import STARTER

        return STARTER
    from pytest_prodcheck.gates.paths import is_name
    from pytest_prodcheck.proposals.proposal import CannotPropose, toml
    from pytest_prodcheck.proposals.sources import propose

    if not is_name(args.env):
        raise ValueError(f"{args.env!r} is not a valid name for an environment")
    if args.ca:
        _refuse_no_ca(args.ca)
    try:
        proposal = propose(args.source, args.ca)
    except CannotPropose as error:
        raise ValueError(str(error)) from None
    source = _without_credentials(args.source)
    if args.ca:
        _trust(proposal, os.path.abspath(args.ca))  # for the copy that is tried in another folder
    _refuse_invalid(toml(proposal, args.env, source))
    if args.ca:
        _trust(proposal, os.path.relpath(args.ca, folder))
    return toml(proposal, args.env, source)


def _refuse_no_ca(file: str) -> None:
    """Raises ValueError for a file that holds no CA certificates."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise ValueError(f"--ca {file}: no CA certificates in PEM form ({reason})") from None


def _trust(proposal: Proposal, ca: str) -> None:
    """Names the CA in each service by https; raises ValueError where there is none."""
    services = proposal.sections.get("services", {}).values()
    encrypted = [each for each in services if each.get("url", "").startswith("https:")]
    if not encrypted:
        raise ValueError("--ca: this source has no service with an https address")
    for each in encrypted:
        each["tls"] = {"ca": ca}


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
