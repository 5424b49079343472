"""What belongs to one release of the demo, written at its start: change record, calendar of freezes, settings, plan."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any

from pytest_prodcheck.demo.files.write_file import write_file

FOLDER = "release"
RECORD, FREEZES, SETTINGS = f"{FOLDER}/change.json", f"{FOLDER}/freeze.toml", f"{FOLDER}/shop.env"
PLAN = f"{FOLDER}/rollback.md"
DAY = 86400.0

CONFIGURATION = f"""
[environments.demo.approval]
kind   = "file"
record = "{RECORD}"
freeze = "{FREEZES}"

[environments.demo.rollback]
document = "{PLAN}"

[environments.demo.settings.shop]
file = "{SETTINGS}"
unit = "shop"
[environments.demo.settings.shop.keys]
PORT            = {{ type = "int" }}
DATABASE_URL    = {{ type = "url", secret = true }}
PAYMENTS_URL    = {{ type = "url" }}
PAYMENTS_TOKEN  = {{ matches = "pay_[a-z0-9]+" }}
LOG_LEVEL       = {{ one_of = ["debug", "info", "warning"] }}
SESSION_TIMEOUT = {{ type = "duration" }}
PROMOTIONS      = {{ type = "bool" }}
SENTRY_DSN      = {{ type = "url", optional = true }}
"""


def moment(days: float) -> str:
    """A time so many days from now (negative: before), as RFC 3339 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + days * DAY))


def record(revision: str, **changed: Any) -> dict[str, Any]:
    """The change record; None takes a key away."""
    whole = {
        "format": "prodcheck-approval/1", "environment": "demo", "unit": "shop", "revision": revision, "author": "ada",
        "approvals": [{"by": "grace", "at": moment(-0.1)}], "ticket": "CHG-1",
        "window": {"start": moment(-0.05), "end": moment(90)}, **changed,
    }  # fmt: skip
    return {key: value for key, value in whole.items() if value is not None}


def freeze(begin: str, end: str, **more: Any) -> str:
    """A calendar with one freeze; `begin` and `end` as TOML has them."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in more.items()]
    return "\n".join(['zone = "UTC"', "[freeze.sales]", f"from = {begin}", f"to = {end}", *lines, ""])


def settings(**changed: str | None) -> str:
    """The environment file of the shop, new secrets in it every time; None takes a setting away."""
    password, token = secrets.token_urlsafe(18), secrets.token_hex(12)
    whole = {
        "PORT": "8443", "DATABASE_URL": f"postgresql://shop:{password}@db-rw.demo.test/shop",
        "PAYMENTS_URL": "http://payments.demo.test/", "PAYMENTS_TOKEN": f"pay_{token}", "LOG_LEVEL": "info",
        "SESSION_TIMEOUT": "30m", "PROMOTIONS": "true", **changed,
    }  # fmt: skip
    return "".join(f"{name}={value}\n" for name, value in whole.items() if value is not None)


def plan(days: float, unit: str = "shop") -> str:
    """The rollback plan, last tested so many days from now."""
    return f"# Rolling back: {unit}\n\nLast tested: {moment(days)[:10]}. Next review: {moment(60)[:10]}.\n\n1. …\n"


def healthy(revision: str) -> dict[str, Any]:
    """File name -> its content."""
    calendar = freeze(moment(200), moment(214), reason="the sales")
    return {RECORD: record(revision), FREEZES: calendar, SETTINGS: settings(), PLAN: plan(-30)}


def write(folder: Path, revision: str) -> None:
    """Writes all files of a healthy release."""
    (folder / FOLDER).mkdir(exist_ok=True)
    for name, content in healthy(revision).items():
        write_file(folder, name, content)
