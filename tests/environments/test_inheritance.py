from __future__ import annotations

from pathlib import Path

from tests.environments.support import load_text, mistakes

TEXT = """\
version = 1
[environments.base]
abstract = true
absent = ["redis"]
[environments.base.vars]
domain = "x.test"
tier = "low"
[environments.base.services.shop]
url = "https://shop.{domain}"
health = "/healthz"
headers = { A = "1", B = "2" }
[environments.base.services.old]
url = "https://old.{domain}"
[environments.base.redis.r]
nodes = ["a:1", "b:1"]
expect = { primaries = 1, replicas = 1 }
password = { file = "secret" }
[environments.base.own.relay]
file = "a"
[environments.middle]
extends = "base"
absent = []
[environments.middle.services.shop]
headers = { B = "3" }
[environments.last]
extends = "middle"
vars = { domain = "last.test" }
services.old = false
redis.r = { nodes = ["c:1"], expect = { replicas = 0 }, password = { env = "PASSWORD" } }
own.relay = { env = "b" }
"""


def test_tables_merge_and_lists_and_scalars_replace(tmp_path: Path) -> None:
    last = load_text(tmp_path, TEXT.replace('absent = ["redis"]', "absent = []")).environment("last")
    assert last.services["shop"].url == "https://shop.last.test"
    assert last.services["shop"].headers == {"A": "1", "B": "3"}
    assert last.vars == {"domain": "last.test", "tier": "low"}
    assert last.redis["r"].nodes == ("c:1",)
    assert (last.redis["r"].expect.primaries, last.redis["r"].expect.replicas) == (1, 0)


def test_false_removes_an_inherited_table_and_its_provenance(tmp_path: Path) -> None:
    configuration = load_text(tmp_path, TEXT)
    last = configuration.environment("last")
    assert set(last.services) == {"shop"}
    assert set(configuration.environment("middle").services) == {"shop", "old"}
    assert not [key for key in configuration.provenance(last) if key.startswith("services.old")]


def test_a_secret_reference_replaces_the_inherited_one_whole(tmp_path: Path) -> None:
    last = load_text(tmp_path, TEXT).environment("last")
    assert last.redis["r"].password is not None
    assert (last.redis["r"].password.env, last.redis["r"].password.file) == ("PASSWORD", None)
    assert last.own["relay"] == {"file": "a", "env": "b"}  # a team's own tables merge by key, always


def test_abstract_is_not_inherited(tmp_path: Path) -> None:
    assert set(load_text(tmp_path, TEXT).project.environments) == {"middle", "last"}


def test_a_mistake_in_the_parent_is_told_once_where_it_stands(tmp_path: Path) -> None:
    found = mistakes(tmp_path, TEXT.replace('health = "/healthz"', "health = 5"))
    assert found == ["prodcheck.toml:10: environments.base.services.shop.health: expected a string"]


def test_what_is_missing_in_an_abstract_environment_may_be_given_by_its_children(tmp_path: Path) -> None:
    text = 'version = 1\n[environments.b]\nabstract = true\nservices.a.health = "/h"\n[environments.c]\nextends = "b"\n'
    assert mistakes(tmp_path, text + 'services.a.url = "https://a"\n') == []
    told = "prodcheck.toml:4: environments.b.services.a: `url` is missing: `health` cannot be judged without it"
    assert mistakes(tmp_path, text) == [told]


def test_provenance_names_file_line_and_the_environment_it_came_from(tmp_path: Path) -> None:
    origins = load_text(tmp_path, TEXT).provenance("last")
    assert origins["services.shop.health"] == "prodcheck.toml:10 (environments.base)"
    assert origins["services.shop.headers.B"] == "prodcheck.toml:24 (environments.middle)"
    assert origins["redis.r.nodes"] == "prodcheck.toml:29"
    assert origins["redis.r.password.env"] == "prodcheck.toml:29"
    assert "redis.r.password.file" not in origins
    assert "redis.r.nodes[1]" not in origins
