"""Tells people of a run through apprise; what does not arrive is kept and tried again with the next run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.delivery.messages import Message, message
from pytest_prodcheck.delivery.undelivered import GIVEN_UP, UndeliveredMessage, forget, keep, waiting
from pytest_prodcheck.outcomes import RunRecord
from pytest_prodcheck.reports.verdict_documents import LEVELS, AnyVerdict, View, level_of, views

if TYPE_CHECKING:
    from pytest_prodcheck.environments.project import Project
    from pytest_prodcheck.environments.sections.base import SecretRef
    from pytest_prodcheck.environments.sections.delivery import Channel

MOST_SECONDS = 30.0  # that all messages of a run may take; what is left is kept for the next one
_TYPES = {"info": "INFO", "warning": "WARNING", "critical": "FAILURE", "emergency": "FAILURE"}
_NEEDED = "notifications need apprise: pip install 'pytest-prodcheck[notify]'"


def tell_people(
    project: Project,
    state: Path,
    run: RunRecord,
    verdicts: Sequence[AnyVerdict],
    resolve: Callable[[SecretRef], str],
) -> Iterator[str]:
    """Tells every channel what it asks for, and what it missed; one line for each that could not be told."""
    until = time.monotonic() + MOST_SECONDS
    yield from retry(project, state, resolve, until)
    wanted = {name: each for name, each in project.notify.items() if _is_for(each, run)}
    if not wanted:
        return
    try:
        before = _before(project, state, run, resolve)
    except ValueError as error:
        yield f"the changes are not known, so the message lists everything: {error}"
        before = {}
    codes = {gate: code for gate, (code, _) in before.items()}
    for name, channel in wanted.items():
        told = [
            each.data
            for each in views(verdicts)
            if channel.on == "always" or _is_other(before.get(each.raw("gate")), each)
        ]
        made = message(run, told, codes)
        if made is None or not _is_heard(channel, made):
            continue
        if problem := _deliver(state, channel, UndeliveredMessage(name, made, time.time()), resolve, until):
            yield problem


def retry(project: Project, state: Path, resolve: Callable[[SecretRef], str], until: float) -> Iterator[str]:
    """Tries once more what is kept, the oldest first, until that moment of the monotonic clock."""
    for each in waiting(state):
        channel = project.notify.get(each.channel)
        if channel is None or each.at < time.time() - GIVEN_UP:
            forget(state, each)
            why = "is no longer declared" if channel is None else f"refused the message for {GIVEN_UP / 3600:.0f} h"
            yield f"notify.{each.channel} {why}: given up: {each.message.title}"
        elif problem := _deliver(state, channel, each, resolve, until):
            yield problem


def send(
    address: str, made: Message, done: set[int] | frozenset[int] = frozenset(), until: float = math.inf
) -> set[int]:
    """Sends to one apprise address; returns which of its recipients have it by now, -1 among them where all have.

    until: moment of the monotonic clock after which no further recipient is begun with.
    Raises ValueError for what apprise does not know, without the address.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what apprise and its plugins import
        return _send(address, made, done, until)


def _send(address: str, made: Message, done: set[int] | frozenset[int], until: float) -> set[int]:
    try:
        import apprise
    except ImportError:
        raise ValueError(_NEEDED) from None
    import logging

    for name in ("apprise", "urllib3.connectionpool"):  # their messages hold addresses with tokens
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    asset: Any = apprise.AppriseAsset()
    asset.http_redirects = False  # its address and headers hold tokens; `?redirect=yes` in an address allows it
    server: Any = apprise.Apprise.instantiate(address.strip(), asset=asset, suppress_exceptions=True)
    if server is None:
        raise ValueError("apprise does not know this kind of address")
    server.request_rate_per_sec = 0.0  # it would wait some seconds between two recipients
    several = getattr(server, "targets", None)
    targets = list(several) if isinstance(several, (list, tuple, set)) and len(several) > 1 else [None]
    found = set(done)
    kind = getattr(apprise.NotifyType, _TYPES[made.level])  # an enumeration, or a class of texts in older versions
    for place, each in enumerate(targets):
        if place in done:
            continue
        if time.monotonic() >= until:
            break
        if len(targets) > 1:
            server.targets = [each]
        try:
            arrived = server.notify(body=made.body, title=made.title, notify_type=kind)
        except Exception:  # a plugin of theirs; what it says may hold the address
            arrived = False
        if arrived:
            found.add(place)
    if len(found) == len(targets):
        found.add(-1)
    return found


def _deliver(
    state: Path, channel: Channel, kept: UndeliveredMessage, resolve: Callable[[SecretRef], str], until: float
) -> str:
    """Sends one message; keeps it where it did not arrive, and says so."""
    arrived, why = set(kept.arrived), ""
    try:
        if time.monotonic() < until:
            arrived = send(resolve(channel.url), kept.message, arrived, until)
        else:
            why = "no time was left for it"
    except ValueError as error:
        why = str(error)
    if -1 in arrived:
        forget(state, kept)
        return ""
    problem = keep(state, kept, arrived)
    after = "and cannot be saved for later: " + problem if problem else "and is tried again with the next run"
    return f"notify.{kept.channel} was not notified{': ' + why if why else ''}, {after}: {kept.message.title}"


def _is_for(channel: Channel, run: RunRecord) -> bool:
    return not channel.environments or run.environment in channel.environments


def _is_heard(channel: Channel, made: Message) -> bool:
    return LEVELS.index(made.level) >= LEVELS.index(channel.level) or (made.recovery and channel.recovery)


def _is_other(before: tuple[int | None, str] | None, verdict: View) -> bool:
    """Whether a gate's answer, or how grave it is, is another one; older events know no level."""
    code, level = before or (None, "")
    return code != verdict.number("code") or (level != "" and level != level_of(verdict))


def _before(
    project: Project, state: Path, run: RunRecord, resolve: Callable[[SecretRef], str]
) -> Mapping[str, tuple[int | None, str]]:
    """Gate -> code and level of its verdict before this run; raises ValueError."""
    from pytest_prodcheck.events.configured_log import open_log
    from pytest_prodcheck.events.log import LogProblem

    try:
        with open_log(state, project.events, resolve) as log:
            found = log.find(environment=run.environment, kind="verdict")
    except LogProblem as error:
        raise ValueError(str(error)) from None
    answers: dict[str, tuple[int | None, str]] = {}
    for each in found:
        if each.body.get("run") != run.id and each.unit == run.unit and each.body.get("slot", "") == run.slot:
            code, level = each.body.get("code"), each.body.get("level")
            answers.setdefault(each.subject, (code if isinstance(code, int) else None, str(level or "")))
    return answers
