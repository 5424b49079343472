"""What events say of an object that is not as it should be: the newest one that warns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.kubernetes.api import api, listed, now
from pytest_prodcheck.evidence.kubernetes.objects import Object, table
from pytest_prodcheck.evidence.kubernetes.parsing import epoch_seconds
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

FRESH = 3600  # seconds, the time that API servers keep events by default
_NORMAL = ("FailedBinding", "JobAlreadyActive")  # say what is wrong, and are no warnings


def latest_warning(
    kind: str, name: str, context: Context, deadline: Deadline, since: float = 0.0, reason: str = ""
) -> str:
    """The message about an object of the namespace, "" where there is none or events may not be read.

    since: epoch seconds; what was seen for the last time before that is over. reason: of the event, "" for any.
    """
    path = f"/api/v1/namespaces/{api(context, deadline).namespace}/events"
    try:
        events = listed(f"events of {kind}", path, context, deadline, lambda item: item,
                        fieldSelector=f"involvedObject.kind={kind}")  # fmt: skip
    except EvidenceProblem as error:
        deadline.note(f"the cause may be in the events, which cannot be read: {error.problem.message}")
        return ""
    since = max(since, now(context, deadline) - FRESH)
    about = [each for each in events if warns(each) and table(each, "involvedObject").get("name") == name]
    fresh = [each for each in about if last_seen(each) > since and reason in ("", each.get("reason"))]
    return plain(str(max(fresh, key=last_seen).get("message", "")), 300) if fresh else ""


def warns(event: Object) -> bool:
    """Whether it says what is wrong."""
    return event.get("type") == "Warning" or event.get("reason") in _NORMAL


def last_seen(event: Object) -> float:
    """Epoch seconds of the last time that it came."""
    times = (table(event, "series").get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"),
             table(event, "metadata").get("creationTimestamp"))  # fmt: skip
    return epoch_seconds(next((each for each in times if each), "1970-01-01T00:00:00Z"))
