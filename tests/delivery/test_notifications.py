"""What people are told, against real receivers: SMTP, STARTTLS, HTTPS; what did not arrive comes later."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trustme

from pytest_prodcheck.delivery import deliver, notifications
from pytest_prodcheck.delivery.messages import message
from pytest_prodcheck.delivery.notifications import send, tell_people
from pytest_prodcheck.delivery.undelivered import FOLDER, GIVEN_UP, UndeliveredMessage, keep, waiting
from pytest_prodcheck.environments.project import Project
from pytest_prodcheck.environments.sections.base import SecretRef
from pytest_prodcheck.environments.sections.delivery import Channel, Pushgateway
from pytest_prodcheck.events.log import open_file
from pytest_prodcheck.events.run_events import events_of
from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.outcomes import RunRecord
from pytest_prodcheck.plugin.run_delivery import deliver_run
from pytest_prodcheck.reports.verdict_documents import level_of, views
from tests import project as projects
from tests.delivery.receivers import Mailbox, Taken, http, smtp
from tests.reports.hostile import STRINGS
from tests.reports.samples import BLOCKED, CANNOT_TELL, OPEN, RUN

TOKEN = "very-secret-token-of-a-chat"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODCHECK_KEY", "key-of-the-tests-0123456789-0123456789")


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with smtp() as made:
        yield made


@pytest.fixture
def hook() -> Iterator[Taken]:
    with http() as made:
        yield made


def declared(address: str, **more: Any) -> Project:
    """A project with one channel, whose address is what the secret of that name is."""
    channel = Channel(url=SecretRef(env=address), **more)
    return cast("Project", SimpleNamespace(notify={"team": channel}, events=None, pushgateway=None, traces=None))


def tell(state: Path, project: Project, run: RunRecord, *verdicts: Verdict) -> list[str]:
    """Tells of a run as a run does: it is in the event log already."""
    with open_file(state) as log:
        log.add(*events_of(run, verdicts))
    return list(tell_people(project, state, run, verdicts, lambda ref: str(ref.env)))


def mails_to(port: int, *names: str) -> str:
    return f"mailto://127.0.0.1:{port}/?from=prodcheck@shop.example&to={','.join(names)}&mode=insecure"


def at(seconds: float) -> RunRecord:
    return replace(RUN, id=f"run-{seconds}", ended_at=RUN.ended_at + seconds)


def test_a_mail_tells_what_is_closed_why_and_what_to_do(mailbox: Mailbox, tmp_path: Path) -> None:
    address = mails_to(mailbox.port, "anna@shop.example")
    assert tell(tmp_path, declared(address), RUN, BLOCKED) == []
    ((to, mail),) = mailbox.mails
    assert to == ["anna@shop.example"]
    assert "BLOCKED smoke" in str(mail["Subject"])
    body = mail.get_body(("plain", "html")).get_content()  # type: ignore[attr-defined]
    for each in ("45 s is more than 30 s", "smoke.service.addresses on checkout", "how to fix:", RUN.id):
        assert each in body.replace("&nbsp;", " ")


def test_starttls_with_a_server_that_takes_nothing_without_it(tls: ssl.SSLContext, tmp_path: Path) -> None:
    with smtp(tls) as box:
        address = f"mailtos://127.0.0.1:{box.port}/?from=a@shop.example&to=anna@shop.example&mode=starttls&verify=no"
        assert tell(tmp_path, declared(address), RUN, BLOCKED) == []
        assert len(box.mails) == 1


def test_mail_with_the_servers_certificate_verified(
    authority: trustme.CA, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CA that nobody knows gets no mail: that is said, kept, and sent with the next run, when the CA is trusted."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    with smtp(tls) as box:
        address = f"mailtos://127.0.0.1:{box.port}/?from=a@shop.example&to=anna@shop.example&mode=starttls"
        (problem,) = tell(tmp_path, declared(address), RUN, BLOCKED)
        assert box.mails == []
        assert "tried again with the next run" in problem
        monkeypatch.setenv("SSL_CERT_FILE", str(file))  # as OpenSSL is told of a CA of one's own
        assert tell(tmp_path, declared(address), at(1)) == []
        ((to, mail),) = box.mails
    assert to == ["anna@shop.example"]
    assert "BLOCKED smoke" in str(mail["Subject"])


def test_https_with_its_certificate_verified(authority: trustme.CA, tls: ssl.SSLContext, tmp_path: Path) -> None:
    """A certificate that nobody trusts gets nothing; one that is not looked at, where that is asked for, all."""
    with http(tls) as taken:
        address = f"jsons://127.0.0.1:{taken.port}/hook/{TOKEN}"
        (problem,) = tell(tmp_path, declared(address), RUN, BLOCKED)
        assert taken.requests == []
        assert "notify.team was not notified" in problem
        assert TOKEN not in problem
        assert list(tell_people(declared(f"{address}?verify=no"), tmp_path, at(1), (), lambda ref: str(ref.env))) == []
        told = json.loads(taken.requests[0][3])
        assert told["type"] == "failure"


@pytest.mark.parametrize("answer", [301, 302, 307, 308])
def test_a_redirect_of_a_receiver_is_not_followed(answer: int, hook: Taken, tmp_path: Path) -> None:
    """Its own headers, a token among them, would go where it leads; `?redirect=yes` allows that."""
    with http() as other:
        hook.answer, hook.location = answer, f"http://127.0.0.1:{other.port}/"
        address = f"json://127.0.0.1:{hook.port}/?+X-Token={TOKEN}"
        (problem,) = tell(tmp_path, declared(address), RUN, BLOCKED)
        assert "was not notified" in problem
        assert (len(hook.requests), other.requests) == (1, [])


def test_only_a_change_is_told(hook: Taken, tmp_path: Path) -> None:
    project = declared(f"json://127.0.0.1:{hook.port}/")
    for number, verdict in enumerate((BLOCKED, BLOCKED, CANNOT_TELL, OPEN, OPEN, BLOCKED)):
        assert tell(tmp_path, project, at(number), replace(verdict, run=f"run-{number}")) == []
    titles = [json.loads(each[3])["title"] for each in hook.requests]
    assert [each.partition(": ")[2] for each in titles] == [
        "BLOCKED smoke", "CANNOT TELL smoke", "OPEN smoke", "BLOCKED smoke",
    ]  # fmt: skip
    assert "was cannot tell" in json.loads(hook.requests[2][3])["message"]


def test_what_is_graver_with_the_same_code_is_told(hook: Taken, tmp_path: Path) -> None:
    project = declared(f"json://127.0.0.1:{hook.port}/", level="info")
    worse = replace(BLOCKED, reasons=(replace(BLOCKED.reasons[0], severity="critical"),))
    warned = replace(BLOCKED, status="open", code=0)
    for number, verdict in enumerate((BLOCKED, worse, worse, OPEN, warned, warned)):
        assert tell(tmp_path, project, at(number), verdict) == []
    assert len(hook.requests) == 4


def test_a_change_to_an_event_without_a_level_is_one_of_code(hook: Taken, tmp_path: Path) -> None:
    """As runs of before have written them."""
    project = declared(f"json://127.0.0.1:{hook.port}/")
    old = events_of(RUN, [BLOCKED])
    for each in old:
        each.body.pop("level", None)
    with open_file(tmp_path) as log:
        log.add(*old)
    assert tell(tmp_path, project, at(1), BLOCKED) == []
    assert hook.requests == []


def test_only_the_first_line_of_a_reason_is_told() -> None:
    text = "500 instead of 200\nGET https://x: 500\nbody: a row of a customer\ncurl https://x"
    made = message(RUN, [replace(BLOCKED, reasons=(replace(BLOCKED.reasons[0], text=text),))], {})
    assert made is not None
    assert "500 instead of 200" in made.body
    assert "customer" not in made.body
    assert "curl" not in made.body


def test_no_recipient_is_begun_with_after_the_end(mailbox: Mailbox) -> None:
    made = message(RUN, [BLOCKED], {})
    assert made is not None
    address = mails_to(mailbox.port, "anna@shop.example", "bert@shop.example")
    assert send(address, made, until=time.monotonic()) == set()
    assert mailbox.mails == []
    assert -1 in send(address, made)


def test_a_linked_folder_keeps_nothing(tmp_path: Path) -> None:
    made = message(RUN, [BLOCKED], {})
    assert made is not None
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / FOLDER).symlink_to(tmp_path / "elsewhere")
    assert "link" in keep(tmp_path, UndeliveredMessage("team", made, time.time()), ())
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_one_that_fails_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Iterator[str]:
        raise TypeError("very-secret")
        yield ""

    monkeypatch.setattr(notifications, "tell_people", fails)
    gateway = Pushgateway(url="http://127.0.0.1:9")
    project = cast("Project", SimpleNamespace(notify={"team": 1}, pushgateway=gateway, traces=None))
    first, second = deliver(project, tmp_path, RUN, [BLOCKED], lambda ref: str(ref.env))
    assert first.startswith("notify: not delivered")
    assert first.endswith("TypeError")
    assert "the Pushgateway did not receive the metrics" in second


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"on": "always"}, 3),
        ({"level": "emergency"}, 1),  # that it is open again
        ({"level": "emergency", "recovery": False}, 0),
        ({"environments": ("staging",)}, 0),
    ],
)
def test_who_asks_for_what(more: dict[str, Any], expected: int, hook: Taken, tmp_path: Path) -> None:
    project = declared(f"json://127.0.0.1:{hook.port}/", **more)
    for number, verdict in enumerate((BLOCKED, BLOCKED, OPEN)):
        tell(tmp_path, project, at(number), verdict)
    assert len(hook.requests) == expected


def test_what_did_not_arrive_comes_with_the_next_run_once(hook: Taken, tmp_path: Path) -> None:
    project = declared(f"json://127.0.0.1:{hook.port}/{TOKEN}")
    hook.answer = 503
    (problem,) = tell(tmp_path, project, at(0), BLOCKED)
    assert "tried again with the next run" in problem
    (kept,) = (tmp_path / FOLDER).iterdir()
    assert TOKEN not in kept.read_text()
    assert len(tell(tmp_path, project, at(1), BLOCKED)) == 1
    hook.answer = 200
    hook.requests.clear()
    assert tell(tmp_path, project, at(2), BLOCKED) == []
    assert len(hook.requests) == 1
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_only_who_has_not_got_it_is_told_again(mailbox: Mailbox, tmp_path: Path) -> None:
    names = ("anna@shop.example", "bert@shop.example", "cleo@shop.example")
    project = declared(mails_to(mailbox.port, *names))
    mailbox.refused = {"bert@shop.example"}
    assert len(tell(tmp_path, project, at(0), BLOCKED)) == 1
    mailbox.refused = set()
    assert tell(tmp_path, project, at(1), BLOCKED) == []
    assert sorted(to for tos, _ in mailbox.mails for to in tos) == sorted(names)


def test_it_is_given_up_after_a_day_or_without_its_channel(hook: Taken, tmp_path: Path) -> None:
    made = message(RUN, [BLOCKED], {})
    assert made is not None
    keep(tmp_path, UndeliveredMessage("team", made, time.time() - GIVEN_UP - 1), ())
    keep(tmp_path, UndeliveredMessage("gone", made, time.time()), ())
    problems = tell(tmp_path, declared(f"json://127.0.0.1:{hook.port}/"), RUN)
    assert len(problems) == 2
    assert all("given up" in each for each in problems)
    assert list(waiting(tmp_path)) == []


@pytest.mark.parametrize("address", ["nonsense", "unknownschema://x", ""])
def test_an_address_that_nobody_knows(address: str, tmp_path: Path) -> None:
    (problem,) = tell(tmp_path, declared(address or " "), RUN, BLOCKED)
    assert "apprise does not know" in problem


def test_what_is_kept_and_broken_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    for number, text in enumerate(("", "[]", "[" * 100_000, '{"channel": 1}', '{"message": {}, "at": "x"}')):
        (tmp_path / FOLDER / f"{number}.json").write_text(text)
    (tmp_path / FOLDER / "link.json").symlink_to("/etc/passwd")
    assert list(waiting(tmp_path)) == []


def test_who_writes_the_state_folder_sends_nothing_as_us(hook: Taken, tmp_path: Path) -> None:
    """Neither a message of his own, nor a kept one that he changed, for another channel, or under another name."""
    made = message(RUN, [OPEN], {"smoke": 1})
    assert made is not None
    kept = UndeliveredMessage("team", made, time.time())
    assert keep(tmp_path, kept, ()) == ""
    (file,) = (tmp_path / FOLDER).iterdir()
    whole = json.loads(file.read_text())
    for change in (
        {"seal": None}, {"channel": "other"}, {"message": {**whole["message"], "title": "all is well: OPEN"}},
        {"at": whole["at"] + 1},
    ):  # fmt: skip
        forged = {**whole, **change}
        told = UndeliveredMessage(forged["channel"], replace(made, title=forged["message"]["title"]), forged["at"])
        (tmp_path / FOLDER / told.file).write_text(json.dumps(forged))
        if told.file != file.name:
            file.unlink(missing_ok=True)
        assert list(waiting(tmp_path)) == []
        (tmp_path / FOLDER / told.file).unlink()
    assert tell(tmp_path, declared(f"json://127.0.0.1:{hook.port}/"), RUN) == []
    assert hook.requests == []
    file.write_text(json.dumps(whole))
    assert [each.message.title for each in waiting(tmp_path)] == [made.title]


def test_levels() -> None:
    critical = replace(BLOCKED, reasons=(replace(BLOCKED.reasons[0], severity="critical"),))
    told = [level_of(views([each])[0]) for each in (OPEN, replace(BLOCKED, status="open", code=0), BLOCKED, critical)]
    assert told == ["info", "warning", "critical", "emergency"]
    assert level_of(views([CANNOT_TELL])[0]) == "critical"


@pytest.mark.parametrize("text", [*STRINGS, "<!channel> @everyone <https://evil.example|log in>"])
def test_nothing_of_a_target_mentions_anybody_or_becomes_a_link(text: str) -> None:
    verdict = replace(BLOCKED, reasons=(replace(BLOCKED.reasons[0], text=text, target=text),))
    made = message(replace(RUN, revision=text), [verdict], {})
    assert made is not None
    assert not set("<>@\x1b\x07") & set(made.title + made.body)
    assert len(made.body) < 5000


TOML = """
[notify.team]
url = { env = "TEAM_URL" }
on  = "always"
level = "info"

[pushgateway]
url = "http://127.0.0.1:9"
"""


def test_a_run_tells_and_its_verdict_stands_whatever_comes_of_it(hook: Taken, tmp_path: Path) -> None:
    project = projects.Project.make(tmp_path, projects.TOML + TOML)
    done = project.pytest()
    assert done.returncode == 0
    assert "notify.team was not notified: environment variable TEAM_URL is not set" in done.stderr
    assert "the Pushgateway did not receive the metrics of this run: it cannot be reached" in done.stderr
    project.environ["TEAM_URL"] = f"json://127.0.0.1:{hook.port}/"
    project.pytest("--no-gate")
    assert hook.requests == []
    assert project.pytest().returncode == 0
    assert project.gate() == 0
    assert any("OPEN smoke" in json.loads(each[3])["title"] for each in hook.requests)


def test_a_ctrl_c_while_others_are_told_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Iterator[str]:
        yield "what did not arrive before"
        raise KeyboardInterrupt

    monkeypatch.setattr(notifications, "tell_people", interrupted)
    project = SimpleNamespace(notify={"team": 1}, pushgateway=None, traces=None, pass_environment=())
    opened = cast("Any", SimpleNamespace(
        configuration=SimpleNamespace(project=project, root=tmp_path), state=tmp_path,
        options=SimpleNamespace(no_gate=False),
    ))  # fmt: skip
    assert deliver_run(opened, RUN, [BLOCKED], None) == [
        "what did not arrive before", "notifications about this run could not be sent: KeyboardInterrupt",
    ]  # fmt: skip


ENDS_BADLY = "import pytest\ndef pytest_sessionfinish(session):\n    session.exitstatus = 3\n"
OCCUPIES = """
import pathlib
def pytest_terminal_summary():
    (file,) = pathlib.Path(".prodcheck/verdicts").rglob("*.ticket")
    file.with_suffix(".json").mkdir()
"""


JUDGES_LATE = """
import pytest, threading
from pytest_prodcheck import judge
@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    late = threading.Thread(target=judge, args=('late', False))
    late.start()
    late.join()
"""


@pytest.mark.parametrize(
    "conftest", [ENDS_BADLY, OCCUPIES, JUDGES_LATE], ids=["pytest ended badly", "cannot be published", "late"]
)
def test_a_gate_that_stays_closed_is_told_and_no_open_one(conftest: str, hook: Taken, tmp_path: Path) -> None:
    project = projects.Project.make(tmp_path, projects.TOML + TOML.partition("[pushgateway]")[0])
    project.environ["TEAM_URL"] = f"json://127.0.0.1:{hook.port}/"
    project.write("conftest.py", conftest)
    project.edit("value = 1.0", "value = 11.0")
    assert project.pytest().returncode not in (0, 1)
    (title,) = [json.loads(each[3])["title"] for each in hook.requests]
    assert "OPEN" not in title
    assert project.gate() != 0
    for folder in (each for each in project.verdict_files() if each.is_dir()):
        folder.rmdir()
    project.edit("value = 11.0", "value = 1.0")
    assert project.pytest().returncode not in (0, 1)
    assert not any("OPEN" in json.loads(each[3])["title"] for each in hook.requests)
