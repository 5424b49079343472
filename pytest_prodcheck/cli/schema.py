"""`prodcheck schema`: the JSON Schema of prodcheck.toml, for editors."""

from __future__ import annotations

import argparse
import json

EXAMPLES = """\
  prodcheck schema > prodcheck.schema.json     then, as first line of prodcheck.toml:
                                               #:schema ./prodcheck.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`prodcheck schema` has no options."""


def main(args: argparse.Namespace) -> int:
    """Prints the schema."""
    from pytest_prodcheck.environments.schema import schema

    print(json.dumps(schema(), indent=2, ensure_ascii=False))
    return 0
