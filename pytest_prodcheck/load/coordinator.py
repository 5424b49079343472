"""The coordinator of a load: starts senders together, merges what they counted, stops it in time, writes the result.

What it writes goes into the private folder of the run: `progress.json` over and over, `result.json` and
`times.hlog` once. Whether a run is any good is for others to say.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_prodcheck.load.counters import IntervalCounts, ProcessCounts
from pytest_prodcheck.load.histogram import Histogram, Line, write_log
from pytest_prodcheck.load.renewals import ADDRESSES, REQUESTS, RenewalFile
from pytest_prodcheck.load.schedule import Segment
from pytest_prodcheck.load.sliding_window import SlidingWindow, due_at_first

KEPT_OF_AN_END = ("began", "unanswered", "seconds", "last_begun", "cpu_seconds", "addresses", "users_left")
Send = Callable[[str, Any, str], None]


@dataclass
class SenderProgress:
    """What is known of one sender. cpu: the share of a core in each of its reports."""

    node: str
    cpu: list[float] = field(default_factory=list)
    wait: list[float] = field(default_factory=list)  # the share of each report's time that it waited for a processor
    ended: dict[str, Any] | None = None
    heard: float = field(default_factory=time.monotonic)
    in_flight: int = 0
    begun: int = 0


class Coordinator:
    """Merges. `send(type, data, node)` takes messages to the senders; `quit` ends Locust when all is written."""

    def __init__(self, plan: Mapping[str, Any], folder: Path, send: Send, quit: Callable[[], None]) -> None:
        self.plan, self.folder, self.send, self.quit = plan, folder, send, quit
        self.senders: dict[int, SenderProgress] = {}
        self.counted = ProcessCounts()
        self.began = 0.0
        self.aborted = ""
        self.gap = 0.0
        self._answered_at = 0.0
        self._recent = SlidingWindow()
        self._requests, self._addresses = RenewalFile(folder, REQUESTS), RenewalFile(folder, ADDRESSES)
        self._due_at_first = due_at_first(plan)
        self._written = False
        self._spare = os.open(os.devnull, os.O_RDONLY)  # given up to write files where no descriptor is left

    # -- messages

    def ready(self, node: str) -> None:
        """A sender is there; when all are, they begin together."""
        self.senders[len(self.senders)] = SenderProgress(node)
        if len(self.senders) == self.plan["workers"]:
            self.began = time.time()
            self._answered_at = time.monotonic()
            for name, (raw, ends) in self._requests.take().items():  # tokens may have ended while Locust started
                self.plan["endpoints"][name] |= {"raw": raw, "ends": ends}
            for index, sender in self.senders.items():
                sender.heard = time.monotonic()
                told = {"index": index, "of": len(self.senders), "plan": self.plan, "now": time.time()}
                self.send("prodcheck-go", told, sender.node)

    def part(self, data: Mapping[str, Any]) -> None:
        """What a sender counted since its last report."""
        counted = self._add_report(data)
        sender = self.senders[data["index"]]
        sender.cpu.append(float(data["cpu"]))
        sender.wait.append(float(data["wait"]))
        sender.in_flight = int(data["in_flight"])
        both = IntervalCounts()
        for cell in counted.cells.values():
            both.add(cell)
        self._recent.add(time.time() - self.began, both)
        now = time.monotonic()
        self.gap = max(self.gap, now - self._answered_at)
        if both.good or both.failed:
            self._answered_at = now
        self._write_progress()
        self._check_abort_limits()
        for what, file in (("prodcheck-renew", self._requests), ("prodcheck-move", self._addresses)):
            if renewed := file.take():
                for each in self.senders.values():
                    self.send(what, renewed, each.node)

    def end(self, data: Mapping[str, Any]) -> None:
        """A sender's last report; the result is written when there is one of every sender."""
        self._add_report(data)
        sender = self.senders[data["index"]]
        sender.ended, sender.in_flight = {key: data[key] for key in KEPT_OF_AN_END}, 0
        if all(each.ended is not None for each in self.senders.values()):
            self.finish("")

    def watch(self, patience: float) -> None:
        """Gives up senders that were silent for so many seconds; called now and then."""
        if not self.began or self._written:
            return
        now = time.monotonic()
        lost = [
            index for index, sender in self.senders.items() if sender.ended is None and now - sender.heard > patience
        ]
        if lost:
            for index, sender in self.senders.items():
                if index not in lost and sender.ended is None:
                    self.send("prodcheck-stop", {}, sender.node)
                    self.aborted = self.aborted or "a worker was lost"
            if all(sender.ended is not None or index in lost for index, sender in self.senders.items()):
                self.finish(f"{len(lost)} of {len(self.senders)} workers were lost")

    # -- stopping

    def _add_report(self, data: Mapping[str, Any]) -> ProcessCounts:
        counted = ProcessCounts.parse(dict(data))
        sender = self.senders[data["index"]]
        sender.heard = time.monotonic()
        sender.begun += counted.begun
        self.counted.add(counted)
        return counted

    def _check_abort_limits(self) -> None:
        """Stops the load where the abort limits are passed."""
        newest = max((interval for _, interval in self.counted.cells), default=0)
        if self.aborted or (self.plan["by_segment"] and newest >= self.plan["final"]):
            return
        limits, recent = self.plan["abort"], self._recent.total()
        answered = recent.good + recent.failed
        due = max(answered, self._due_at_first - (self.counted.begun - recent.begun))
        why = ""
        if recent.failed / max(due, 1) > limits["error_ratio"]:
            why = f"{recent.failed} of the last {answered} requests failed, more than {limits['error_ratio']:.1%}"
        elif limits["p95"] and (late := self._slow_step(limits["p95"])) is not None:
            why = late
        if why:
            self.aborted = why
            for sender in self.senders.values():
                self.send("prodcheck-stop", {}, sender.node)

    def _slow_step(self, limit: float) -> str | None:
        newest = max((interval for _, interval in self.counted.cells), default=0)
        times = Histogram()
        for (_, interval), cell in self.counted.cells.items():
            if interval == newest:
                times.add(cell.times.counts.items())
        found = times.percentile(95) if times.total >= 59 else None
        return f"P95 of {found / 1e6:.3f} s, more than {limit:g} s" if found and found > limit * 1e6 else None

    # -- files

    def _write_progress(self) -> None:
        recent = self._recent.total()
        times = recent.times
        answered = recent.good + recent.failed
        seconds = self._recent.seconds
        self._write(
            "progress.json",
            {
                "seconds": time.time() - self.began,
                "rate": recent.begun / seconds if seconds else 0.0,
                "p50": times.percentile(50), "p95": times.percentile(95), "p99": times.percentile(99),
                "error_ratio": recent.failed / answered if answered else 0.0,
                "in_flight": sum(sender.in_flight for sender in self.senders.values()),
                "begun": self.counted.begun,
            },
        )  # fmt: skip

    def finish(self, problem: str) -> None:
        """Writes everything, once, and ends Locust."""
        if self._written:
            return
        self._written = True
        self.began = min(
            (sender.ended["began"] for sender in self.senders.values() if sender.ended), default=self.began
        )
        self._write_log()
        if self.plan["mode"] == "users":
            self.gap = longest_gap(self.counted.moments, self.plan["seconds"])
        self._write(
            "result.json",
            {
                "problem": problem, "aborted": self.aborted, "gap": self.gap, "began": self.began,
                "seconds": time.time() - self.began, **self.counted.dump(),
                "senders": [
                    {
                        "node": sender.node, "cpu": sender.cpu, "wait": sender.wait, "begun": sender.begun,
                        "ended": sender.ended,
                    }
                    for sender in self.senders.values()
                ],
            },
        )  # fmt: skip
        self.quit()

    def _write_log(self) -> None:
        lines = []
        for (endpoint, interval), cell in sorted(self.counted.cells.items(), key=lambda each: each[0][1]):
            start, seconds = self._span(interval)
            tag = endpoint.replace(",", "_").replace(" ", "_")
            lines.append(Line(tag, start, seconds, cell.times))
        self._write_text("times.hlog", write_log(self.began, lines))

    def _span(self, interval: int) -> tuple[float, float]:
        if not self.plan["by_segment"]:
            return interval * self.plan["interval"], self.plan["interval"]
        spans = [Segment(*each).seconds for each in self.plan["segments"]]
        return sum(spans[:interval]), spans[interval]

    def _write(self, name: str, plain: Mapping[str, Any]) -> None:
        self._write_text(name, json.dumps(plain))

    def _write_text(self, name: str, text: str) -> None:
        temporary = self.folder / f".{name}"
        os.close(self._spare)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, self.folder / name)
        self._spare = os.open(os.devnull, os.O_RDONLY)


def longest_gap(moments: set[int], seconds: float) -> float:
    """The longest time in seconds without an answer. moments: tenths of seconds in which there was one."""
    places = sorted({-1, *(each for each in moments if each < seconds * 10), math.ceil(seconds * 10)})
    return max(after - before - 1 for before, after in itertools.pairwise(places)) / 10
