"""One user who goes through a workflow: steps in turn, a pause between them, cookies and captured values of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_prodcheck.answers.variables import VARIABLE, captured
from pytest_prodcheck.cookies import CookieStore
from pytest_prodcheck.load.answer import Answer
from pytest_prodcheck.load.client import Call
from pytest_prodcheck.load.http2 import Http2Answer

Judge = Callable[[Answer | Http2Answer], str]  # why an answer is not as it has to be, "" where it is
Send = Callable[[Call, bytes, Judge], bool]  # sends, counts, and says whether the answer was good
Pause = Callable[[], bool]  # rests as users do; False where the load has to end


@dataclass(frozen=True)
class Step:
    """One request of a flow; capture: name -> JSON pointer into its answer."""

    call: Call
    url: str  # scheme, host, port: whose cookies it carries
    capture: Mapping[str, str]


@dataclass(frozen=True)
class Flow:
    """A workflow as it is sent. values: what `{name}`s stand for before anything is captured."""

    name: str
    steps: tuple[Step, ...]
    cleanup: tuple[Step, ...]
    values: Mapping[str, Any]
    think: float


class User:
    """One way through a flow."""

    def __init__(self, flow: Flow, row: Mapping[str, Any]) -> None:
        self.flow = flow
        self.values: dict[str, Any] = {**flow.values, **row}
        self.cookies: CookieStore | None = None

    def go(self, send: Send, pause: Pause) -> bool:
        """Sends the steps until one is not as declared, then the clean-up; whether all was well."""
        good = True
        for place, step in enumerate(self.flow.steps):
            if place and not pause():
                good = False
                break
            if not self._ask(step, send):
                good = False
                break
        for step in self.flow.cleanup:
            if step.call.template.names <= self.values.keys():
                good = self._ask(step, send) and good
        return good

    def _ask(self, step: Step, send: Send) -> bool:
        call = self._call_with_values(step.call)
        raw = call.template.render(self.values)
        url = step.url + raw.split(b" ", 2)[1].decode("latin-1")
        if self.cookies is not None and b"\r\nCookie:" not in raw and (sent := self.cookies.header(url)):
            raw = raw.replace(b"\r\n", f"\r\nCookie: {sent}\r\n".encode("latin-1", "replace"), 1)
        return send(call, raw, lambda answer: self._process_answer(step, call, url, answer))

    def _call_with_values(self, call: Call) -> Call:
        """The call with this user's values in the text that its answer has to hold."""
        text = call.wanted.contains
        if "{" not in text:
            return call
        text = VARIABLE.sub(lambda found: str(self.values.get(found[1], found[0])), text)
        return replace(call, wanted=replace(call.wanted, contains=text))

    def _process_answer(self, step: Step, call: Call, url: str, answer: Answer | Http2Answer) -> str:
        """Takes cookies and captured values along; says what is wrong with the answer."""
        if "set-cookie" in answer:
            self.cookies = self.cookies or CookieStore()
            self.cookies.take(url, [(name, str(value)) for name, value in answer.items()])
        trouble = call.trouble(answer)
        if step.capture and answer.get_code() < 300:
            try:
                self.values |= captured(json.loads(answer.kept_text), step.capture)
            except (ValueError, RecursionError):
                return trouble or "the answer is not JSON, so that nothing can be captured"
        missing = next((step.capture[name] for name in step.capture if name not in self.values), None)
        return trouble or ("" if missing is None else f"nothing to capture at {missing}")


def flows(plan: Mapping[str, Any], calls: Mapping[str, Call]) -> dict[str, Flow]:
    """The flows of a plan."""

    def steps(told: list[dict[str, Any]]) -> tuple[Step, ...]:
        return tuple(Step(calls[each["call"]], each["url"], each["capture"]) for each in told)

    return {
        name: Flow(name, steps(each["steps"]), steps(each["cleanup"]), each["values"], each["think"])
        for name, each in plan["flows"].items()
    }
