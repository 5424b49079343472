"""What the checks of one release must notice, and what must stay green."""

from __future__ import annotations

from pytest_prodcheck.demo.faults.fault import Fault

_APPROVAL = ("pre_deploy.approval",)
_RECORD = "the change record"  # and the calendar of freezes: one check judges both
_BEFORE = ("pre_deploy",)
_BRANCH = ("pre_deploy.dependencies.branch",)


def _approval(name: str, breaks: str, **more: object) -> Fault:
    return Fault(name, breaks, _APPROVAL, part=_RECORD, **more)  # type: ignore[arg-type]


def _setting(name: str, breaks: str) -> Fault:
    return Fault(name, breaks, ("pre_deploy.configuration.settings",), part="the shop's settings")


def _plan(name: str, breaks: str) -> Fault:
    return Fault(name, breaks, ("pre_deploy.rollback.plan",), part="the rollback plan")


def _payments(name: str, breaks: str, **more: object) -> Fault:
    notices = ("pre_deploy.dependencies.payments",)
    return Fault(name, breaks, notices, part="the payment provider", **more)  # type: ignore[arg-type]


FAULTS = (
    _approval("approval-missing", "there is no change record"),
    _approval("approval-other-revision", "the change record is about another revision"),
    _approval("approval-other-unit", "the change record is about another unit"),
    _approval("approval-own", "only the author approved the change"),
    _approval("approval-pending", "the change is not approved yet"),
    _approval("approval-rejected", "one of two reviewers rejected the change"),
    _approval("approval-too-late", "the time window of the change ended hours ago"),
    _approval("approval-expired", "the approval is eight days old, and the change has no time window"),
    _approval("approval-cut-off", "the change record is incomplete"),
    _approval("freeze-on", "a deployment freeze is on until tomorrow"),
    _approval("freeze-weekly", "a weekly deployment freeze is on today"),
    _approval("freeze-passed", "a freeze is on, and an emergency change with a ticket passes it", outcome="warned"),
    _approval("freeze-empty", "the file with the calendar of freezes is empty"),
    _payments("payments-down", "the payment provider refuses connections"),
    _payments("payments-hang", "the payment provider never answers"),
    _payments("payments-unwell", "the payment provider answers 503"),
    _payments("payments-slow", "the payment provider answers after 3.2 s"),
    _payments("payments-slower", "the payment provider answers after 1.8 s", outcome="warned"),
    Fault("branch-gone", "the DNS name of the shop with non-ASCII letters does not exist", _BRANCH, part="the branch"),
    Fault(
        "branch-other-name", "the certificate is not valid for the shop's name with non-ASCII letters",
        _BRANCH, part="the branch",
    ),
    _setting("settings-gone", "the shop's environment file is missing"),
    _setting("settings-garbled", "a line of the shop's environment file is not an assignment"),
    _setting("setting-missing", "a setting is missing"),
    _setting("setting-empty", "a setting has no value"),
    _setting("setting-wrong-type", "the port is a word instead of a number"),
    _setting("setting-none-of-these", "the log level does not exist"),
    _setting("setting-without-unit", "a duration has no unit"),
    _setting("setting-placeholder", "a secret is still a placeholder"),
    _setting("setting-example", "an address is an example from documentation"),
    _setting("setting-unresolved", "a value still contains a variable that was not replaced"),
    _setting("setting-default-password", "the password of the database is the same as its user name"),
    _plan("plan-missing", "there is no rollback plan"),
    _plan("plan-old", "the rollback plan was last reviewed 200 days ago"),
    _plan("plan-undated", "the only date in the rollback plan is in the future"),
    _plan("plan-of-another", "the rollback plan is about another unit"),
)

BENIGN = (
    Fault("approval-one-of-many", "the change record is one of many in its file", part=_RECORD, suites=_BEFORE),
    Fault("freeze-excepted", "a freeze is on, but the shop is exempt from it", part=_RECORD, suites=_BEFORE),
    Fault("payments-moved", "the payment provider redirects", part="the payment provider", suites=_BEFORE),
    Fault(
        "settings-of-a-person", "the environment file was written by hand, with comments, quotes and exports",
        part="the shop's settings", suites=_BEFORE,
    ),
)
