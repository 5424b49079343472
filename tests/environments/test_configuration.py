from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.environments.loading import Configuration, ConfigurationError
from tests.environments.support import BASE, load_text

TEXT = """\
version = 1
[thresholds]
"smoke.*" = { warn = "1s" }
[environments.base]
abstract = true
[environments.live]
thresholds = { "smoke.a" = "off" }
[environments.live.services.shop]
url = "https://shop.test"
[environments.live.services.cart]
url = "https://cart.test"
[environments.live.services.inner]
url = "http://inner.test"
vantage = "cluster"
[environments.live.units]
shop = { services = ["shop", "inner"] }
cart = { services = ["cart"] }
[environments.live.slots.green]
connect_to = "green.test:443"
services = { cart = "cart-green.test:443" }
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return load_text(tmp_path, TEXT)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("liv", "", ""), "--env: there is no environment `liv` (did you mean `live`?)"),
        (("base", "", ""), "--env: environment `base` is abstract"),
        (("live", "crt", ""), "--unit: environment `live` has no unit `crt` (did you mean `cart`?)"),
        (("live", "", "blue"), "--slot: environment `live` has no slot `blue` (there is green)"),
    ],
)
def test_what_does_not_exist_is_told_with_what_does(
    asked: tuple[str, str, str], expected: str, configuration: Configuration
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configuration.environment(asked[0], unit=asked[1], slot=asked[2])
    assert expected in str(caught.value)


def test_a_slot_sets_where_to_connect_for_the_services_in_scope(configuration: Configuration) -> None:
    def connects(**scope: str) -> dict[str, str | None]:
        return {name: each.connect_to for name, each in configuration.environment("live", **scope).services.items()}

    assert connects() == {"shop": None, "cart": None, "inner": None}
    assert connects(slot="green") == {"shop": "green.test:443", "cart": "cart-green.test:443", "inner": None}
    assert connects(slot="green", unit="cart") == {"shop": None, "cart": "cart-green.test:443", "inner": None}


def test_thresholds_keep_their_layers_apart(configuration: Configuration) -> None:
    lines = configuration.thresholds(configuration.environment("live"))
    assert [(layer, pattern) for layer, pattern, _ in lines] == [(0, "smoke.*"), (1, "smoke.a")]
    assert lines[1][2] == "off"


def test_the_digest_follows_what_is_resolved_and_nothing_else(tmp_path: Path) -> None:
    def digest(text: str, **scope: str) -> str:
        configuration = load_text(tmp_path, text)
        return configuration.digest(configuration.environment("live", **scope))

    same = digest(TEXT)
    assert digest(TEXT + "# a comment\n[environments.other]\n") == same
    assert digest(TEXT.replace("[environments.live.units]", "[environments.live.units] ")) == same
    assert digest(TEXT.replace('"1s"', '"2s"')) != same
    assert digest(TEXT.replace("cart.test", "cart2.test")) != same
    assert digest(TEXT, slot="green") != same
    assert len(same) == 64


def test_the_order_of_tables_does_not_change_the_digest(tmp_path: Path) -> None:
    other = '[environments.dev.services.b]\nurl = "https://b"\n'
    first = load_text(tmp_path, BASE + other)
    second = load_text(tmp_path, "version = 1\n" + other + BASE.removeprefix("version = 1\n"))
    assert first.digest(first.environment("dev")) == second.digest(second.environment("dev"))
