from __future__ import annotations

from pathlib import Path

from tests.environments.support import BASE, load_text, mistakes


def test_only_braces_around_a_name_are_filled_in(tmp_path: Path) -> None:
    text = BASE + (
        'endpoints.a = { request = "POST /{sku}", safe = true, status = 200, contains = "{{sku}} {\\"a\\":{}} x{3} {sku}", '  # noqa: E501
        'json = { list = ["{sku}", { deep = "{sku}-{sku}" }], number = 5 } }\n'
        'headers = { X-Run = "{run}/{revision}" }\n'
        "[environments.dev.own.relay]\nquery = 'up{service=\"{sku}\"}'\n"
        '[environments.dev.vars]\nsku = "s-1"\n'
    )
    environment = load_text(tmp_path, text).environment("dev")
    endpoint = environment.services["shop"].endpoints["a"]
    assert endpoint.path == "/s-1"
    assert endpoint.contains == '{sku} {"a":{}} x{3} s-1'
    assert endpoint.json_ == {"list": ["s-1", {"deep": "s-1-s-1"}], "number": 5}
    assert environment.services["shop"].headers == {"X-Run": "{run}/{revision}"}
    assert environment.own["relay"]["query"] == 'up{service="s-1"}'


def test_captured_names_stay_until_the_step_is_sent(tmp_path: Path) -> None:
    text = BASE + (
        "[environments.dev.workflows.w]\nsteps = [\n"
        '{ name = "a", request = "POST shop:/carts", capture = { cart = "/id" } },\n'
        '{ name = "b", request = "POST shop:/carts/{cart}", json = { cart = "{cart}", sku = "{sku}" } },\n]\n'
        'cleanup = [{ name = "c", request = "DELETE shop:/carts/{cart}" }]\n[environments.dev.vars]\nsku = "s-1"\n'
    )
    workflow = load_text(tmp_path, text).environment("dev").workflows["w"]
    assert workflow.steps[1].path == "/carts/{cart}"
    assert workflow.steps[1].json_ == {"cart": "{cart}", "sku": "s-1"}
    assert workflow.cleanup[0].path == "/carts/{cart}"
    found = mistakes(tmp_path, text.replace('sku = "s-1"', 'sku = "s-1"\ncart = "x"'))
    assert len(found) == 2 + 1
    assert all("{cart} is both a variable and captured by a step" in each for each in found)


def test_what_a_load_varies_stays_until_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user,page\nann,1\n", encoding="utf-8")
    text = BASE + (
        'endpoints.item = { request = "GET /item", status = 200 }\n'
        'endpoints.page = { request = "GET /page", status = 200 }\n'
        '[environments.dev.workflows.w]\nvalues = { user = "ann" }\n'
        'steps = [{ name = "a", request = "GET shop:/hello/{user}", headers = { X-Sku = "{sku}" } }]\n'
        '[environments.dev.load.l]\nhosts = ["shop.test"]\nmix = { "shop.item" = 1, "shop.page" = 1 }\n'
        'flows = { w = 1 }\nrate = "1/s"\nduration = "1s"\n'
        'vary."shop.item" = { numbers = { id = [1, 9] }, path = "/item/{id}", json = { a = ["{id}"], b = "{sku}" } }\n'
        'vary."shop.page" = { file = "users.csv", headers = { X-Page = "{page} {sku}" } }\n'
        'vary.w = { file = "users.csv" }\n'
        '[environments.dev.vars]\nsku = "s-1"\n'
    )
    environment = load_text(tmp_path, text).environment("dev")
    assert environment.workflows["w"].steps[0].path == "/hello/{user}"
    vary = environment.load["l"].vary
    assert vary["shop.item"].path == "/item/{id}"
    assert vary["shop.item"].json_ == {"a": ["{id}"], "b": "s-1"}
    assert vary["shop.page"].headers == {"X-Page": "{page} s-1"}
    (found,) = mistakes(tmp_path, text.replace("/item/{id}", "/item/{ids}"))
    assert "no variable `ids` in vars" in found


def test_every_key_with_an_unknown_name_is_told(tmp_path: Path) -> None:
    text = BASE + 'owner = "{a}"\nendpoints.x = { request = "GET /{b}", status = 200 }\n'
    found = mistakes(tmp_path, text)
    assert len(found) == 2
    assert "shop.owner: no variable `a` in vars (there are none; write `{{a}}` for the literal text)" in found[0]
