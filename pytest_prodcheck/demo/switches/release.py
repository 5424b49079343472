"""Faults of a release: files as a careless person, or a broken pipeline, would leave them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.demo.files import release_documents
from pytest_prodcheck.demo.files.configuration import REVISION
from pytest_prodcheck.demo.files.release_documents import (
    FREEZES,
    PLAN,
    RECORD,
    SETTINGS,
    freeze,
    moment,
    plan,
    record,
    settings,
)
from pytest_prodcheck.demo.files.write_file import write_file
from pytest_prodcheck.demo.network.balancer import Mode
from pytest_prodcheck.demo.network.payment_provider import PaymentProvider

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

Act = Callable[["System"], None]


def _record(**changed: Callable[[], Any] | Any) -> Callable[[], Any]:
    """The change record with other values, which are made when the fault is switched on."""
    return lambda: record(
        REVISION, **{key: value() if callable(value) else value for key, value in changed.items()}
    )


def _frozen(**more: Any) -> Callable[[], str]:
    return lambda: freeze(moment(-1), moment(1), **more)


def _this_weekday() -> str:
    days = [time.strftime("%a", time.gmtime(time.time() + day * release_documents.DAY)) for day in (-1, 2)]
    return freeze(*(json.dumps(f"{day} 00:00") for day in days), reason="the weekend")


def _settings(**changed: str | None) -> Callable[[], str]:
    return lambda: settings(**changed)


def _records_of_a_year() -> list[Any]:
    """Records of a whole year in one file: the last one about this release counts."""
    return [
        record("demo-0"), record(REVISION, environment="staging", approvals=[]),
        record(REVISION, approvals=[]), record(REVISION), record("demo-2", approvals=[]),
    ]  # fmt: skip


# fault -> what is written into which files
CONTENTS: dict[str, dict[str, Callable[[], Any]]] = {
    "approval-missing": {RECORD: lambda: None},
    "approval-other-revision": {RECORD: lambda: record("demo-0")},
    "approval-other-unit": {RECORD: _record(unit="billing")},
    "approval-own": {RECORD: _record(approvals=[{"by": "Ada", "at": "2026-01-01T00:00:00Z"}])},
    "approval-pending": {RECORD: _record(approvals=[])},
    "approval-rejected": {RECORD: _record(approvals=[{"by": "grace"}, {"by": "linus", "decision": "rejected"}])},
    "approval-too-late": {RECORD: _record(window=lambda: {"end": moment(-0.1)})},
    "approval-expired": {RECORD: _record(window=None, approvals=lambda: [{"by": "grace", "at": moment(-8)}])},
    "approval-cut-off": {RECORD: lambda: json.dumps(record(REVISION))[:120]},
    "freeze-on": {FREEZES: _frozen(reason="the sales")},
    "freeze-weekly": {FREEZES: _this_weekday},
    "freeze-passed": {FREEZES: _frozen(emergency=True), RECORD: _record(emergency=True)},
    "freeze-empty": {FREEZES: lambda: ""},
    "settings-gone": {SETTINGS: lambda: None},
    "settings-garbled": {SETTINGS: lambda: settings() + "NO ASSIGNMENT\n"},
    "setting-missing": {SETTINGS: _settings(LOG_LEVEL=None)},
    "setting-empty": {SETTINGS: _settings(PAYMENTS_TOKEN="")},
    "setting-wrong-type": {SETTINGS: _settings(PORT="eighty")},
    "setting-none-of-these": {SETTINGS: _settings(LOG_LEVEL="trace")},
    "setting-without-unit": {SETTINGS: _settings(SESSION_TIMEOUT="30")},
    "setting-placeholder": {SETTINGS: _settings(PAYMENTS_TOKEN="pay_changeme")},
    "setting-example": {SETTINGS: _settings(PAYMENTS_URL="https://payments.example.com/")},
    "setting-unresolved": {SETTINGS: _settings(PAYMENTS_URL="https://${PAYMENTS_HOST}/")},
    "setting-default-password": {SETTINGS: _settings(DATABASE_URL="postgresql://shop:shop@db-rw.demo.test/shop")},
    "plan-missing": {PLAN: lambda: None},
    "plan-old": {PLAN: lambda: plan(-200)},
    "plan-undated": {PLAN: lambda: plan(-30).replace(moment(-30)[:10], "some day")},
    "plan-of-another": {PLAN: lambda: plan(-30, "shop-api")},
    # benign
    "settings-of-a-person": {SETTINGS: lambda: "# ours\nexport UNUSED='a b' # c\n" + settings(PORT='"80"')},
    "approval-one-of-many": {RECORD: _records_of_a_year},
    "freeze-excepted": {FREEZES: _frozen(**{"except": ["shop"]})},
}


def _on(contents: dict[str, Callable[[], Any]]) -> Act:
    def act(system: System) -> None:
        for name, content in contents.items():
            write_file(system.place, name, content())

    return act


def _off(contents: dict[str, Callable[[], Any]]) -> Act:
    def act(system: System) -> None:
        for name in contents:
            write_file(system.place, name, release_documents.healthy(REVISION)[name])

    return act


def _payments(**changed: Any) -> tuple[Act, Act]:
    """The payment provider answers otherwise."""

    def on(system: System) -> None:
        vars(system.payments).update(changed)

    def off(system: System) -> None:
        vars(system.payments).update(vars(PaymentProvider()))

    return on, off


def _entrance(mode: Mode) -> tuple[Act, Act]:
    return (
        lambda system: system.payments_entrance.set_mode(mode),
        lambda system: system.payments_entrance.set_mode("serve"),
    )  # fmt: skip


ACTS: dict[str, tuple[Act, Act]] = {
    **{name: (_on(contents), _off(contents)) for name, contents in CONTENTS.items()},
    "payments-down": _entrance("down"),
    "payments-hang": _entrance("hang"),
    "payments-unwell": _payments(status="503 Service Unavailable"),
    "payments-slow": _payments(delay=3.2),
    "payments-slower": _payments(delay=1.8),
    "payments-moved": _payments(status="302 Found"),
}
