"""Users that differ, under load: rows of files, numbers, steps with a pause, cookies and tokens of their own."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.environments.sections.load import seconds_of
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.load.data_feeds import reused_rows, rows_of
from pytest_prodcheck.evidence.load.plan import plan_of
from pytest_prodcheck.evidence.load.run import load_run
from pytest_prodcheck.judging.load_validity import starved
from pytest_prodcheck.load.feeds import Feed
from pytest_prodcheck.load.templates import Template, marked
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records import EvidenceProblem
from pytest_prodcheck.records.load import LoadRun
from tests.evidence.contexts import context_for
from tests.evidence.load.servers import serving
from tests.evidence.load.test_load import busy, is_as, outcomes

THINK = 0.3
MENU = "x" * 100_000  # steps capture from answers of any size that is read without load too
STEPS = [
    {"name": "login", "request": "POST shop:/login", "json": {"user": "{user}", "age": "{age}"}, "status": 200,
     "capture": {"token": "/token"}},
    {"name": "order", "request": "POST shop:/orders/{user}", "headers": {"Authorization": "Bearer {token}"},
     "json": {"sku": "chair"}, "status": 201, "capture": {"order": "/id"}, "contains": "for {user}"},
]  # fmt: skip
CLEANUP = [{"name": "cancel", "request": "DELETE shop:/orders/{order}", "status": 204}]


class Shop:
    """A shop that knows who did what; whoever sends somebody else's cookie or token gets 403."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.numbers = itertools.count()
        self.logins: Counter[str] = Counter()
        self.ages: set[Any] = set()
        self.orders: dict[str, float] = {}
        self.cancelled: set[str] = set()
        self.items: Counter[str] = Counter()
        self.at: dict[str, float] = {}
        self.waited: list[float] = []

    def answer(self, raw: bytes) -> bytes:
        line, _, rest = raw.decode("latin-1").partition("\r\n")
        method, path, _ = line.split(" ")
        cookie = (re.findall(r"(?m)^Cookie: sid=(\S+)", rest) or [""])[0]
        token = (re.findall(r"(?m)^Authorization: Bearer (\S+)", rest) or [""])[0]
        with self.lock:
            if path == "/login":
                told = json.loads(rest.partition("\r\n\r\n")[2])
                self.logins[told["user"]] += 1
                self.ages.add(told["age"])
                self.at[told["user"]] = time.monotonic()
                found = {"token": f"t-{told['user']}", "menu": MENU}
                return reply(200, json.dumps(found), f"Set-Cookie: sid={told['user']}; Path=/")
            if path.startswith("/item"):
                self.items[path] += 1
                return reply(200, "{}", "X-Cache: HIT")
            if method == "DELETE" and cookie:
                self.cancelled.add(path.rpartition("/")[2])
                return reply(204, "")
            user = path.rpartition("/")[2]
            if method == "POST" and cookie == user and token == f"t-{user}":
                number = str(next(self.numbers))
                self.orders[number] = time.monotonic()
                self.waited.append(time.monotonic() - self.at[user])
                return reply(201, json.dumps({"id": number, "text": f"for {user}"}))
        return reply(403, "")


def reply(status: int, text: str, *fields: str) -> bytes:
    more = "".join(f"{each}\r\n" for each in ("Content-Type: application/json", *fields))
    return f"HTTP/1.1 {status} X\r\n{more}Content-Length: {len(text)}\r\n\r\n{text}".encode()


def context_of(root: Path, port: int, **load: Any) -> Context:
    endpoints = {"item": {"request": "GET /item", "status": 200}}
    service = {"url": f"http://127.0.0.1:{port}", "endpoints": endpoints, "timeout": "5s"}
    workflow = {"steps": STEPS, "cleanup": CLEANUP, "writes": True, "values": {"user": "ann", "age": "7"},
                "timeout": "2s"}  # fmt: skip
    scenario = {
        "hosts": ["127.0.0.1"], "rate": "40/s", "duration": "2s", "think": f"{THINK}s", "flows": {"buy": 1}, **load
    }  # fmt: skip
    return context_for(root, services={"shop": service}, workflows={"buy": workflow}, load={"it": scenario})


def run_of(context: Context) -> LoadRun:
    found: LoadRun = load_run.gather("it", context, Deadline(60))
    return found


def test_users_of_a_flow_have_cookies_tokens_and_rows_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "users.jsonl").write_text("".join(f'{{"user": "u{n}", "age": {n}}}\n' for n in range(40)))
    shop = Shop()
    vary = {"buy": {"file": "users.jsonl"}, "shop.item": {"numbers": {"id": [1, 15]}, "path": "/item/{id}"}}
    with serving(shop.answer) as port:
        run = run_of(context_of(tmp_path, port, mix={"shop.item": 1}, vary=vary))
    assert run.overall.failed == 0, run.overall.reasons
    assert (run.asked, run.arrived) == (80, 80)
    assert {each.name: each.good for each in run.endpoints} == {
        "shop.item": 40, "buy.login": 40, "buy.order": 40, "buy.cancel": 40
    }  # fmt: skip
    assert shop.logins == {f"u{number}": 1 for number in range(40)}
    assert shop.ages == set(range(40)), "a number of a JSON row stays one"
    assert shop.cancelled == set(shop.orders)
    assert set(shop.items) == {f"/item/{number}" for number in range(1, 16)}
    assert min(shop.waited) >= THINK * 0.95
    assert run.cached == 40
    assert all(is_as(outcomes(run)[name], Outcome.PASSED, run) for name in ("validity", "throughput"))


def test_users_who_think_for_longer_than_a_workflow_takes_are_waited_for(tmp_path: Path) -> None:
    """Without load three requests may take 2 s; under load each may take 5 s, and a user pauses for 20 s."""
    context = context_of(tmp_path, 1, think="20s")
    plan = plan_of("it", context, Deadline(60))
    assert plan["longest"] == 3 * 5 + 20
    assert plan["in_flight"] >= 40 * plan["longest"], "so many users are under way when each takes as long as it may"
    assert seconds_of("it", context.environment) > 2 + plan["longest"]


def test_steps_without_a_pause_are_timed_one_by_one(tmp_path: Path) -> None:
    """flood-io/element#88: three steps of 0.3 s each are none of 0.9 s, nor one that is too late."""
    shop = Shop()

    def answer(raw: bytes) -> bytes:
        time.sleep(0.3)
        return shop.answer(raw)

    with serving(answer) as port:
        context = context_of(tmp_path, port, rate="30/s", duration="1s", think="1ms")
        run = run_of(context)
    assert run.overall.failed == 0 or starved(run), run.overall.reasons
    for each in run.endpoints:
        assert 0.3 <= (each.times.percentile(50) or 0) < 0.6 or busy(run), each.name


def test_a_flow_that_breaks_off_fails_and_cleans_up_what_there_is(tmp_path: Path) -> None:
    """Orders are refused: the steps before are good, those after are not sent, nothing of the run is invalid."""
    shop = Shop()

    def answer(raw: bytes) -> bytes:
        return reply(500, "") if raw.startswith(b"POST /orders") else shop.answer(raw)

    with serving(answer) as port:
        run = run_of(context_of(tmp_path, port, duration="1s", abort={"error_ratio": 1}))
    found = {each.name: (each.good, each.failed) for each in run.endpoints}
    assert found == {"buy.login": (40, 0), "buy.order": (0, 40), "buy.cancel": (0, 0)}
    assert shop.logins == {"ann": 40}
    assert outcomes(run)["errors"] is Outcome.FAILED


def test_a_column_that_is_not_there_is_a_mistake_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("sku\nchair\n")
    vary = {"shop.item": {"file": "items.csv", "path": "/item/{id}"}}
    with pytest.raises(EvidenceProblem, match="there is no column id"):
        run_of(context_of(tmp_path, 9, flows={}, mix={"shop.item": 1}, vary=vary))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "a,b\n1,2\n3\n", "line 3: 1 values for 2 columns"),
        ("a.csv", "a,a\n1,2\n", "expected the names of the columns, each once"),
        ("a.csv", "a,b\n", "no rows"),
        ("a.csv", "", "expected the names of the columns|no rows"),
        ("a.csv", 'a\n"secret-value\n', "cannot be read"),
        ("a.jsonl", '{"a": 1}\n[1]\n', "line 2: expected an object"),
        ("a.jsonl", '{"a": 1}\n{secret-value\n', "line 2: not JSON"),
        ("a.jsonl", '{"a": {"secret-value": 1}}\n', "line 1: expected an object"),
    ],
)
def test_rows_that_cannot_be_read_name_the_line_and_no_value(name: str, text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(EvidenceProblem, match=told) as found:
        rows_of(tmp_path / name, name)
    assert "secret-value" not in str(found.value)


def test_rows_of_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeffsku,text\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n".encode())
    assert rows_of(tmp_path / "a.csv", "a.csv") == [{"sku": "1", "text": 'a, "b"\r\nc'}]


def test_two_senders_take_all_rows_between_them() -> None:
    plain = {"rows": [], "numbers": {"n": [3, 12]}, "order": "turn"}
    feeds = [Feed(plain, index, 2) for index in range(2)]
    assert sorted(feed.take()["n"] for feed in feeds for _ in range(5)) == list(range(3, 13))


def test_rows_that_are_used_again_are_told() -> None:
    """artilleryio/artillery#1357: users who may answer once came twice, and nothing said why the service refused."""
    feeds = {name: {"rows": [{"user": "u"}] * 40, "numbers": {}, "order": "turn"} for name in ("buy", "shop.item")}
    plan = {"arrivals": {"buy": 1, "shop.item": 1}, "flows": {"buy": {}}, "feeds": feeds}
    assert list(reused_rows(plan, 80)) == []
    assert [each.partition(":")[0] for each in reused_rows(plan, 82)] == ["41 users of buy shared 40 rows"]


def test_values_cannot_break_out_of_their_place() -> None:
    """A value with line breaks, quotes, slashes and braces stays one value; the length is that of what is sent."""
    names = ["a", "b"]
    head = marked("POST /x/{a}?q={a}&z={c} HTTP/1.1\r\nX-It: {a}\r\nContent-Length: 1\r\n\r\n", names)
    made = Template(head + json.dumps(marked({"one": "{a}", "two": "<{a}>", "n": "{b}", "{a}": 1}, names)))
    nasty = 'x\r\nHost: evil\r\n\r\n"/../{b}é€'
    raw = made.render({"a": nasty, "b": 5})
    top, _, body = raw.partition(b"\r\n\r\n")
    assert json.loads(body) == {"one": nasty, "two": f"<{nasty}>", "n": 5, nasty: 1}
    assert len(top.split(b"\r\n")) == 3
    assert top.split(b"\r\n")[2] == b"Content-Length: %d" % len(body)
    assert top.startswith(b"POST /x/x%0D%0AHost%3A%20evil%0D%0A%0D%0A%22%2F..%2F%7Bb%7D")
    assert b"&z={c} HTTP" in top
