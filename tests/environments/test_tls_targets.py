"""What speaks TLS: which targets there are, what is expected of them, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.environments.loading import Configuration, ConfigurationError
from pytest_prodcheck.environments.targets import Target, settings_of, targets
from pytest_prodcheck.environments.tls_targets import encrypted, policy
from tests.environments.support import load_text

TEXT = """\
version = 1
[environments.dev.services.shop]
url = "https://shop.test"
owner = "team-shop"
tls = { profile = "intermediate", expiry = { warn = "30d" } }
[environments.dev.services.plain]
url = "http://plain.test"
[environments.dev.services.proxied]
url = "https://far.test"
proxy = "http://proxy.test:3128"
[environments.dev.units]
web = { services = ["shop"] }
back = { services = ["plain"] }
[environments.dev.postgres]
named = { nodes = ["a:5432"] }
known = { nodes = ["a:5432"], tls = { mode = "verify-ca" } }
any = { nodes = ["a:5432"], tls = { mode = "require" } }
perhaps = { nodes = ["a:5432"], tls = { mode = "prefer" } }
open = { nodes = ["a:5432"], tls = { mode = "disable" } }
[environments.dev.redis]
tls = { nodes = ["a:6379"], tls = {} }
open = { nodes = ["a:6379"] }
[environments.dev.tls.mail]
address = "mail.test:587"
starttls = "smtp"
vantage = "dmz"
owner = "team-mail"
[environments.dev.tls.queue]
address = "queue.test:5671"
unit = "web"
[environments.dev.slots.green]
services = { shop = "green.test:443" }
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return load_text(tmp_path, TEXT)


def targets_by_name(configuration: Configuration, slot: str = "", **scope: str) -> dict[str, Target]:
    environment = configuration.environment("dev", unit=scope.get("unit", ""), slot=slot)
    return {each.name: each for each in targets(environment, configuration, **scope) if each.kind == "tls"}  # type: ignore[arg-type]


def test_everything_that_is_declared_to_speak_tls_is_a_target(configuration: Configuration) -> None:
    all_ = targets_by_name(configuration)
    assert {name: set(each.features) for name, each in all_.items()} == {
        "shop": {"name", "profile"}, "proxied": {"name"}, "postgres.named": {"name"}, "postgres.known": set(),
        "postgres.any": set(), "redis.tls": {"name"}, "mail": {"name"}, "queue": {"name"},
    }  # fmt: skip
    assert (all_["shop"].owner, all_["mail"].owner) == ("team-shop", "team-mail")
    assert {name: each.skip for name, each in all_.items() if each.skip} == {
        "mail": "out-of-reach", "proxied": "out-of-reach",
    }  # fmt: skip
    assert "through a proxy" in all_["proxied"].detail
    assert not targets_by_name(configuration, vantage="dmz")["mail"].skip


def test_a_unit_narrows_services_and_what_says_to_belong_to_another(configuration: Configuration) -> None:
    assert {"shop", "queue", "mail", "postgres.named"} <= set(targets_by_name(configuration, unit="web"))
    back = targets_by_name(configuration, unit="back")
    assert not {"shop", "queue", "proxied"} & set(back)
    assert "mail" in back


def test_a_slot_judges_no_service_that_it_does_not_move(configuration: Configuration) -> None:
    green = targets_by_name(configuration, slot="green")
    assert (green["shop"].skip, green["proxied"].skip) == ("", "out-of-reach")


def test_what_is_expected_of_each(configuration: Configuration) -> None:
    environment = configuration.environment("dev")
    shop = policy(environment, "shop")
    assert (shop.profile, shop.expiry.warn, shop.expiry.fail) == ("intermediate", 30 * 86400, 7 * 86400)
    assert policy(environment, "postgres.named").profile is None
    assert encrypted(environment)["redis.tls"] == ("redis", "tls")
    with pytest.raises(KeyError):
        policy(environment, "plain")
    settings = {name: settings_of(environment, each) for name, each in targets_by_name(configuration).items()}
    assert settings["mail"]["starttls"] == "smtp"
    assert settings["shop"]["url"] == "https://shop.test"
    assert settings["postgres.any"]["tls"]["mode"] == "require"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ('[environments.dev.tls.shop]\naddress = "a:1"', "tls.shop: shop is checked already"),
        ('[environments.dev.tls."redis.tls"]\naddress = "a:1"', "redis.tls is checked already"),
        ('[environments.dev.tls.x]\naddress = "a"', 'expected "HOST:PORT"'),
        ('[environments.dev.tls.x]\naddress = "a:1"\nstarttls = "telnet"', "tls.x.starttls"),
        ('[environments.dev.tls.x]\naddress = "a:1"\nca = "no.pem"', "tls.x.ca: there is no file"),
        ('[environments.dev.tls.x]\naddress = "a:1"\nunit = "wbe"', "there is no unit `wbe` (did you mean `web`?)"),
        ('[environments.dev.tls.x]\naddress = "a:1"\nexpiry = { warn = "1d" }', "`fail` is reached before `warn`"),
        ('[environments.dev.services.y]\nurl = "https://y"\ntls = { expiry = { fail = "30d" } }', "y.tls.expiry.fail"),
        ('[environments.dev.services.y]\nurl = "https://y"\ntls = { profile = "new" }', "y.tls.profile"),
    ],
)
def test_what_is_refused(tmp_path: Path, more: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_text(tmp_path, TEXT + more)
    assert expected in str(caught.value)
