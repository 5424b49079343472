"""The first step that a finding prints: the telling request, or the runbook's command with the names at hand.

Strangers who read ten outages were led astray by four of ten first steps: those of another endpoint, another
certificate, another rule, another host.
"""

from __future__ import annotations

import shlex
import subprocess

import pytest

from pytest_prodcheck import runbooks
from pytest_prodcheck.outcomes import Judgement, Outcome, Result
from pytest_prodcheck.reports.page.first_steps import BUNDLED, SentRequest, Step, first_step
from tests.reports.hostile import STRINGS


def result(check: str, reason: str, of: str = "") -> Result:
    judged = (Judgement("it", False, Outcome.FAILED, of=of, reason=reason),)
    return Result(check, "t", Outcome.FAILED, reason=reason, judgements=judged, evidence=("e",))


def step(check: str, reason: str, of: str = "", *asked: SentRequest, environment: str = "demo") -> Step:
    made = first_step(f"{BUNDLED}{check}", result(check, reason, of), {"e": asked}, environment)
    assert made is not None
    assert subprocess.run(["sh", "-n"], input=made.command, text=True, check=False).returncode == 0
    return made


@pytest.mark.parametrize(
    ("check", "reason", "of", "expected"),
    [
        ("smoke.tcp.open", "port: q.test:4353: no answer within 5 s", "", "ssh q.test 'ss -ltn sport = :4353"),
        ("smoke.redis.persistence", "the save failed", "cache-1.test:4410", "ssh cache-1.test 'df -h /var/lib/redis"),
        ("smoke.postgres.connects", "refused", "10.0.0.7:5433", "pg_isready -h 10.0.0.7 -p 5433"),
        ("security.tls.expiry", "it ended", "m.test:3356, CA 1", "-connect m.test:3356 -servername m.test -show"),
        ("smoke.dns.resolves", "q.test: 127.0.0.1:4801 answered", "", "dig @127.0.0.1 -p 4801 q.test A +noall"),
        ("data_integrity.replication.delay", "it is paused", "db-2.test:3409", "psql -h db-2.test -p 3409 -c"),
    ],
)  # fmt: skip
def test_the_names_of_the_finding(check: str, reason: str, of: str, expected: str) -> None:
    made = step(check, reason, of)
    assert expected in made.command
    assert "shop.example" not in made.command
    assert made.label == "first step:"


def test_a_name_that_is_not_known_is_said_to_be_one_of_an_example() -> None:
    assert step("smoke.redis.persistence", "the last save failed").label.endswith("the names of an example:")
    partly = step("smoke.workflow", "it broke")
    assert "--env demo" in partly.command
    several = step("smoke.postgres.primary", "primaries: found none", "db-1.test:5432")
    assert several.command == runbooks.first_step("smoke.postgres.primary")


GOOD = SentRequest("", "", "curl -sS -i https://x/cheap", "GET", "https://x/cheap", 200, 0.1)
SLOW = SentRequest("", "", "curl -sS -i -X POST https://x/quotes", "POST", "https://x/quotes", 200, 1.5)
BAD = SentRequest("", "", "curl -sS -i https://x/login", "POST", "https://x/login", 403, 0.1)


def test_the_request_that_failed_or_was_slowest_comes_before_any_example() -> None:
    assert step("smoke.api.budget", "slow", "", GOOD, SLOW).command == SLOW.repeat
    assert step("smoke.auth.login", "403", "", SLOW, BAD, GOOD).command == BAD.repeat


def test_a_loop_of_the_runbook_asks_what_was_asked() -> None:
    asked = SentRequest("", "", "curl …", "GET", "https://shop.demo.test:8443/version", 200, 0.1)
    made = step("smoke.service.version", "10 of 22 connections met demo-0", "127.0.0.1:8443", asked)
    assert made.command.startswith("for i in $(seq 20)")
    assert "https://shop.demo.test:8443/version" in made.command
    hostile = SentRequest("", "", "curl 'https://x/$(reboot)'", "GET", "https://x/$(reboot)", 200, 0.1)
    assert step("smoke.service.version", "", "", hostile).command == hostile.repeat


def test_a_slow_request_is_sent_once_more_with_its_times() -> None:
    slow = SentRequest(
        "", "", "curl -sS -i --compressed --cacert ca.pem -X POST https://x/quotes", "POST", "", 200, 1.5
    )
    made = step("smoke.api.budget", "slow", "", slow).command
    assert made.startswith("curl -sS -o /dev/null -w '%{time_starttransfer}")
    assert made.endswith(" --cacert ca.pem -X POST https://x/quotes")


def test_a_loop_trusts_the_declared_ca() -> None:
    url = "https://shop.demo.test:8443/version"
    asked = SentRequest("", "", f"curl -sS -i --compressed --cacert ca.pem {url}", "GET", url, 200, 0.1)
    assert f"do curl -sS --cacert ca.pem {url}; echo" in step("smoke.service.version", "old", "", asked).command


def test_a_cookie_that_browsers_refuse_is_shown_where_it_is_set() -> None:
    line = (
        "curl -sS -i --compressed --cacert ca.pem -H 'Referer: https://x/login' -H \"$COOKIE_HEADER\" https://x/login"
    )
    asked = SentRequest("", "", line, "POST", "https://x/login", 403, 0.1)
    made = step("smoke.auth.login", "answered 403 (/login: browsers refuse its cookie __Host-form)", "", asked)
    assert made.command == "curl -sS -i --compressed --cacert ca.pem https://x/login | grep -i '^set-cookie'"


def test_one_address_of_a_service_is_asked_by_the_name_of_the_service() -> None:
    made = step("smoke.service.version", "11 of 22 connections met demo-0", "127.0.0.2:8443")
    assert "do curl -sS --connect-to ::127.0.0.2:8443 https://shop.example/version; echo" in made.command
    assert made.label == "first step, with some names of an example:"


@pytest.mark.parametrize("text", ["select count(*) from a where b = 'c'", "$(reboot)", "'; reboot"])
def test_an_invariant_begins_with_its_statement(text: str) -> None:
    assert shlex.split(step("data_integrity.rows", "1 is more than 0", text).command) == ["psql", "-c", text]


HOSTILE = [*STRINGS, "$(reboot):80", "-oProxyCommand=reboot:22", "a;reboot:80", "x`id`:1", "a: b:c answered"]
NAMES = ["smoke.tcp.open", "smoke.dns.resolves", "smoke.redis.persistence", "security.tls.expiry"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_target_gets_into_a_command(name: str, text: str) -> None:
    made = step(name, f"{text}: 127.0.0.1:53 answered", text, environment=text)
    bare = runbooks.first_step(name)
    assert not set(made.command) - set(bare) - set("0123456789.:@-p ")
    assert "reboot" not in made.command


def test_all_runbooks_stay_commands() -> None:
    for name in runbooks.names():
        made = first_step(f"{BUNDLED}{name}", result(name, "x", "db-9.internal.test:7777"), {}, "live")
        if made is not None:
            assert subprocess.run(["sh", "-n"], input=made.command, text=True, check=False).returncode == 0
