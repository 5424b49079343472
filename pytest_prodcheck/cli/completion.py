"""`prodcheck completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import argparse
import sys

EXAMPLES = """\
  prodcheck completion bash > /etc/bash_completion.d/prodcheck
  prodcheck completion zsh > "${fpath[1]}/_prodcheck"
"""
SHELLS = ("bash", "zsh", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prodcheck completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def main(args: argparse.Namespace) -> int:
    """Prints the script; 2 where shtab, which writes it, is not installed."""
    try:
        import shtab
    except ImportError:
        print("prodcheck completion: needs shtab: pip install shtab", file=sys.stderr)
        return 2
    from pytest_prodcheck.cli.parsing import parser_of_all_commands

    print(shtab.complete(parser_of_all_commands(), args.shell))
    return 0
