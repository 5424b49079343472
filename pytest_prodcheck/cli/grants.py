"""`prodcheck grants`: the least rights that prodcheck needs, as SQL or as a Kubernetes manifest. Sends nothing."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.cli.error_messages import complain
from pytest_prodcheck.reports.escaping import safe, safe_json

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Environment

EXAMPLES = """\
  prodcheck grants --env production
  prodcheck grants --env production --target shop
  prodcheck grants --env production --kubernetes | kubectl apply -f -
  prodcheck grants --env production --deployer | kubectl apply -f -
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck grants`."""
    parser.add_argument("--env", required=True, metavar="NAME", help="the environment; there is no default")
    parser.add_argument("--target", default="", metavar="NAME", help="only this cluster of `postgres`")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--kubernetes",
        action="store_true",
        help="print the role for the declared Kubernetes cluster, as a manifest (JSON)",
    )
    what.add_argument(
        "--deployer",
        action="store_true",
        help="print the role for `prodcheck deploy` in that cluster, as a manifest (JSON)",
    )


def main(args: argparse.Namespace) -> int:
    """Prints SQL for each declared cluster, or the manifest; 2 for what cannot be read."""
    from pytest_prodcheck.environments.grants import grants
    from pytest_prodcheck.environments.loading import ConfigurationError
    from pytest_prodcheck.scope import ScopeError, read_scope

    try:
        _, environment, configuration = read_scope(args.env, Path.cwd())
    except (ConfigurationError, ScopeError) as error:
        complain("grants", error)
        return 2
    if args.deployer:
        return _deployer(args, environment)
    if args.kubernetes:
        return _kubernetes(args, environment, configuration.root)
    wanted = [args.target] if args.target else list(environment.postgres)
    unknown = [name for name in wanted if name not in environment.postgres]
    if unknown or not wanted:
        there = ", ".join(environment.postgres) or "none"
        what = f"there is no PostgreSQL cluster {unknown[0]!r}" if unknown else "no PostgreSQL cluster is declared"
        print(f"prodcheck grants: {what} in {args.env}; declared: {there}", file=sys.stderr)
        return 2
    sql = {name: list(grants(name, environment.postgres[name])) for name in wanted}
    if args.format == "json":
        print(safe_json(json.dumps(sql, indent=1)))
        return 0
    for lines in sql.values():
        for line in lines:
            print(safe(line))
        print()
    return 0


def _kubernetes(args: argparse.Namespace, environment: Environment, root: Path) -> int:
    from pytest_prodcheck.evidence.kubernetes.rights import manifest

    if environment.kubernetes is None or args.target:
        what = (
            "--target is for PostgreSQL clusters only; leave it out with --kubernetes"
            if args.target
            else f"{args.env} declares no `kubernetes`"
        )
        print(f"prodcheck grants: {what}", file=sys.stderr)
        return 2
    metrics = any(each.source == "kubernetes" for each in environment.hosts.values())
    _print_list(manifest(environment.kubernetes, metrics, _files(root, environment)))
    return 0


def _deployer(args: argparse.Namespace, environment: Environment) -> int:
    from pytest_prodcheck.deploy.cluster_rights import manifest

    deploy = environment.deploy
    if deploy is None or deploy.kubernetes is None or environment.kubernetes is None or args.target:
        what = f"no `deploy` with the driver kubernetes is declared in {args.env}"
        what = "--target names a PostgreSQL cluster" if args.target else what
        print(f"prodcheck grants: {what}", file=sys.stderr)
        return 2
    _print_list(manifest(environment))
    return 0


def _print_list(items: list[dict[str, Any]]) -> None:
    print(safe_json(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1)))


def _files(root: Path, environment: Environment) -> list[dict[str, Any]]:
    """The objects of `manifests` of any revision; says so where there are none yet."""
    from pytest_prodcheck.evidence.kubernetes.manifest_files import read
    from pytest_prodcheck.records import EvidenceProblem

    patterns = environment.kubernetes.manifests if environment.kubernetes else ()
    try:
        return [each for _, each in read(root, patterns, environment.unit or "*", "*")] if patterns else []
    except EvidenceProblem as error:
        what = safe(error.problem.message)
        print(
            f"prodcheck grants: {what}: the permissions to dry-run their kinds are missing from this role",
            file=sys.stderr,
        )
        return []
