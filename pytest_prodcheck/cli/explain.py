"""`prodcheck explain`: what a check judges, why it fails, how to fix it and how to prove that it is fixed."""

from __future__ import annotations

import argparse
import json
import sys

EXAMPLES = """\
  prodcheck explain smoke.service.version     one check, from its purpose to the proof of the fix
  prodcheck explain high-cpu                  an incident
  prodcheck explain                           list all checks and incidents
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck explain`."""
    parser.add_argument(
        "name", nargs="?", default="", metavar="CHECK", help="the id of a check, or the name of an incident"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format (default: text)")


def main(args: argparse.Namespace) -> int:
    """Prints a runbook, or the list of all; 2 for a name that none has."""
    from pytest_prodcheck import runbooks

    if not args.name:
        return _print_runbook({"runbooks": runbooks.names()}, "\n".join(runbooks.names()), args.format)
    name = runbooks.find(args.name)
    if name is None:
        meant = ", ".join(runbooks.close_to(args.name))
        hint = f"did you mean {meant}?" if meant else "`prodcheck explain` lists all"
        print(f"prodcheck explain: there is no runbook for {args.name!r}; {hint}", file=sys.stderr)
        return 2
    text = runbooks.read(name)
    facts = _facts(name)
    told = "".join(f"{what}: {value}\n" for what, value in facts.items() if value)
    return _print_runbook({"name": name, **facts, "markdown": text}, f"{told}\n{text}" if told else text, args.format)


def _print_runbook(document: dict[str, object], text: str, form: str) -> int:
    print(json.dumps(document, indent=1) if form == "json" else text.rstrip())
    return 0


def _facts(name: str) -> dict[str, object]:
    """What the catalogue says of a check; nothing of an incident."""
    from pytest_prodcheck.catalogue import entries

    for each in entries():
        if each.id.removesuffix(".*") == name:
            return {
                "check": each.id,
                "severity": each.severity,
                "warns at": each.warn,
                "fails at": each.fail,
                "evidence": ", ".join(each.collectors),
                "needs --allow-check on a protected environment, because it": each.opt_in,
            }
    return {}
