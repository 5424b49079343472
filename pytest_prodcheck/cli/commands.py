"""The table of commands."""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {  # name -> module, one line of help
    "gate": ("pytest_prodcheck.cli.gate", "ask a gate: 0 open, 1 blocked, 2 usage, 3 cannot tell, 4 refused"),
    "run": ("pytest_prodcheck.cli.run", "run the checks, write the gate verdicts, exit with the gate's code"),
    "exec": ("pytest_prodcheck.cli.exec", "run a command if a gate is open, and record it"),
    "deploy": ("pytest_prodcheck.cli.deploy", "deploy a revision in steps, each guarded by gates, or roll it back"),
    "override": ("pytest_prodcheck.cli.override", "open a closed gate for a while, with a reason"),
    "record-backup": (
        "pytest_prodcheck.cli.record_backup",
        "record row counts and checksums of a database, to verify a restore against",
    ),
    "demo": ("pytest_prodcheck.cli.demo", "start the bundled demo system (shop, PostgreSQL, Redis) in the foreground"),
    "plan": ("pytest_prodcheck.cli.plan", "dry run: list the requests that a run would send; sends nothing"),
    "grants": ("pytest_prodcheck.cli.grants", "print the SQL GRANTs or the Kubernetes RBAC that prodcheck needs"),
    "checks": ("pytest_prodcheck.cli.checks", "list the checks with the limits in force"),
    "history": ("pytest_prodcheck.cli.history", "show trends, flaky checks, slow evidence, how long gates were closed"),
    "explain": ("pytest_prodcheck.cli.explain", "show what a check verifies, why it fails, and how to fix it"),
    "show": ("pytest_prodcheck.cli.show", "show a saved run: its gates, and each check with its measurement"),
    "runs": ("pytest_prodcheck.cli.runs", "list the saved runs"),
    "report": ("pytest_prodcheck.cli.report", "write a report of a saved run: HTML, text, JSON, SARIF and others"),
    "comment": (
        "pytest_prodcheck.cli.comment",
        "write a saved run as a comment on its pull request, or update that comment",
    ),
    "diff": ("pytest_prodcheck.cli.diff", "show the differences between two saved runs"),
    "doctor": (
        "pytest_prodcheck.cli.doctor",
        "show what is not checked yet, what is misconfigured, and what expires soon",
    ),
    "env": ("pytest_prodcheck.cli.env", "show the resolved values of an environment, and where each comes from"),
    "validate": ("pytest_prodcheck.cli.validate", "report every mistake in prodcheck.toml; sends nothing"),
    "init": ("pytest_prodcheck.cli.init", "write a first prodcheck.toml"),
    "completion": ("pytest_prodcheck.cli.completion", "print the completion script for bash, zsh or tcsh"),
    "schema": (
        "pytest_prodcheck.cli.schema",
        "print the JSON Schema of prodcheck.toml (for editors) or of the JSON report",
    ),
}
NEED_NO_CONFIGURATION = ("completion", "demo", "explain", "init", "schema")
OLD_NAMES = {"plan": {"-m": "--suite"}}  # options by command: they work until the next release
