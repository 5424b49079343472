from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from pytest_prodcheck.evidence.collectors import Sending
from pytest_prodcheck.evidence.table import find
from tests.evidence.contexts import context, gather, problem_of
from tests.evidence.network.dns_servers import dns_server
from tests.evidence.network.test_resolving import NAME, reply


def tables(server: str | None, **more: Any) -> dict[str, Any]:
    return {"nameserver": server, "dependencies": {"db": {"dns": NAME, "timeout": 0.6, **more}}}


def test_addresses_of_a_name() -> None:
    with dns_server(lambda query, _: reply(query, (NAME, "A", "10.0.0.1"), (NAME, "AAAA", "fd00::1"))) as server:
        found = gather("dns-name", "db", context(**tables(server, expect=["10.0.0.1", "FD00:0::1"])))
    assert (found.name, found.server) == (NAME, server)
    assert found.addresses == ("10.0.0.1", "fd00::1")
    assert found.expected == ("10.0.0.1", "fd00::1")
    assert 0 < found.seconds < 1.5


def _reply_with(record: tuple[str, str, str], query: Any, _: Any) -> Any:
    return reply(query, record)


def test_what_filters_say_is_no_address() -> None:
    """smartdns#1328, Technitium DnsServer#181, opnsense/plugins#1901: blocked names are at 0.0.0.0 or ::."""
    for kind, address in (("A", "0.0.0.0"), ("AAAA", "::"), ("A", "169.254.169.254")):
        answer = partial(_reply_with, (NAME, kind, address))
        with dns_server(answer) as server:
            problem = problem_of(partial(gather, "dns-name", "db", context(**tables(server))))
            assert (problem.kind, address in problem.message) == ("dns", True)
            expecting = context(**tables(server, expect=[address]))
            assert gather("dns-name", "db", expecting).addresses == (address,)


@pytest.mark.parametrize("code", [0, 3])
def test_name_that_is_gone_is_an_answer(code: int) -> None:
    with dns_server(lambda query, _: reply(query, code=code)) as server:
        assert gather("dns-name", "db", context(**tables(server))).addresses == ()


def test_name_server_that_fails_is_a_problem() -> None:
    with dns_server(lambda query, _: reply(query, code=2)) as server:
        assert problem_of(lambda: gather("dns-name", "db", context(**tables(server)))).kind == "dns"


@pytest.mark.parametrize(("failing", "told"), [("A", "SERVFAIL for A"), ("AAAA", "")])
def test_users_of_ipv4_alone_count(failing: str, told: str) -> None:
    """A zone that breaks for A alone: most users have no address, although AAAA is answered."""

    def answer(query: Any, _: Any) -> bytes:
        asked = "AAAA" if "AAAA" in query.question[0].to_text() else "A"
        if asked == failing:
            return reply(query, code=2)
        return reply(query, (NAME, asked, "10.0.0.1" if asked == "A" else "fd00::1"))

    with dns_server(answer) as server:
        given = context(**tables(server))
        if told:
            assert told in problem_of(lambda: gather("dns-name", "db", given)).message
        else:
            assert gather("dns-name", "db", given).addresses == ("10.0.0.1",)


def test_own_timeout_counts() -> None:
    with dns_server(lambda *_: None) as server:
        assert problem_of(lambda: gather("dns-name", "db", context(**tables(server)), 30)).kind == "dns"


def test_system_resolver() -> None:
    given = context(dependencies={"db": {"dns": "localhost"}})
    found = gather("dns-name", "db", given)
    assert found.server == "system"
    assert "127.0.0.1" in found.addresses


def test_what_is_sent() -> None:
    collector, environment = find("dns-name"), context(**tables("127.0.0.1:53")).environment
    assert collector.host("db", environment) == "127.0.0.1:53"
    assert collector.sends("db", environment) == (Sending("127.0.0.1:53", f"DNS A and AAAA of {NAME}"),)
