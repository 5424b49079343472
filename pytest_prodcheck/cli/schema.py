"""`prodcheck schema`: the JSON Schema of prodcheck.toml, for editors, or of the JSON report."""

from __future__ import annotations

import argparse
import json

EXAMPLES = """\
  prodcheck schema > prodcheck.schema.json     then write this as the first line of prodcheck.toml:
                                               #:schema ./prodcheck.schema.json
  prodcheck schema --of report                 the schema of the JSON report
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck schema`."""
    parser.add_argument(
        "--of",
        choices=("configuration", "report"),
        default="configuration",
        help="which schema to print (default: configuration)",
    )


def main(args: argparse.Namespace) -> int:
    """Prints the schema."""
    if args.of == "report":
        from pytest_prodcheck.reports.json_report import schema
    else:
        from pytest_prodcheck.environments.schema import schema
    print(json.dumps(schema(), indent=2, ensure_ascii=False))
    return 0
