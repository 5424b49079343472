"""Services that speak no HTTP: a worker, a queue's consumer, a mail server. Whatever needs HTTP is not declared."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.cli.parsing import dispatch
from pytest_prodcheck.environments.targets import targets
from pytest_prodcheck.plugin.run_start import unverified_hosts
from tests.environments.support import load_text, mistakes
from tests.project import Project

CLUSTER = '[environments.live.kubernetes]\nnamespace = "shop"\nvantage = "cluster"\n'
PROMETHEUS = '[environments.live.prometheus]\nurl = "https://prometheus.shop.example"\n'
HEAD = """\
version = 1
[environments.live]
protected = true
absent = ["auth", "workflows", "postgres", "redis"]
"""


def live(mail: str, more: str = "") -> str:
    return f"{HEAD}[environments.live.services.mail]\n{mail}\n{more}"


@pytest.mark.parametrize(
    ("mail", "more", "told"),
    [
        ("", "", "services.mail: nothing about this service can be checked"),
        ('workload = "deployment/mail"', "", "nothing about this service can be checked"),
        ('workload = "deployment/mail"', f'{CLUSTER}reach = ["nodes"]\n', "nothing about this service can be checked"),
        ('owner = "mail team"', CLUSTER, "nothing about this service can be checked"),
        ('tcp = "mail:25"\nhealth = "/healthz"', "", "`url` is missing: `health`"),
        ('tcp = "mail:25"\nredirect = true', "", "`url` is missing: `redirect`"),
        ('tcp = "mail:25"\npublic = true\nhtml = true', "", "`url` is missing: `html`, `public`"),
        ('tcp = "mail:25"\nversion = { path = "/v" }', "", "`url` is missing: `version`"),
        ('tcp = "mail:25"\ntls = { verify = "off" }', "", "`url` is missing: `tls`"),
        ('tcp = "mail:25"\nendpoints.a = { request = "GET /", status = 200 }', "", "`url` is missing: `endpoints`"),
        ('tcp = "mail:25"\nurl = "https://mail"', "", "services.mail.tcp: `tcp` is for a service without `url`"),
        ('tcp = "mail:25"', '[environments.live.dependencies]\nmail = { tcp = "relay:25" }', "has the same name"),
    ],
)  # fmt: skip
def test_what_does_not_fit(mail: str, more: str, told: str, tmp_path: Path) -> None:
    assert any(told in each for each in mistakes(tmp_path, live(mail, more)))


@pytest.mark.parametrize(
    "more",
    [
        '[environments.live.auth]\nkind = "json"\nservice = "mail"\nlogin = "POST /login"\ntoken = "/t"\n',
        '[environments.live.workflows.order]\nsteps = [{ name = "a", request = "GET mail:/x", status = 200 }]\n',
    ],
)
def test_requests_are_not_sent_to_it(more: str, tmp_path: Path) -> None:
    text = live('tcp = "mail:25"', more).replace('"auth", "workflows", ', "")
    assert any("service `mail` has no `url`" in each for each in mistakes(tmp_path, text))


def found(folder: Path, mail: str, more: str = "", **scope: Any) -> dict[str, Any]:
    configuration = load_text(folder, live(mail, more))
    environment = configuration.environment("live", **{key: scope.pop(key) for key in ("slot",) if key in scope})
    assert not unverified_hosts(environment)
    return {f"{each.kind}:{each.name}": each for each in targets(environment, configuration, **scope)}


def test_its_targets_are_its_port_and_its_workload(tmp_path: Path) -> None:
    assert set(found(tmp_path, 'tcp = "mail:25"')) == {"tcp:mail", "environment:live"}
    mail = 'tcp = "mail:25"\nworkload = "statefulset/mail"\nowner = "mail team"'
    both = found(tmp_path, mail, CLUSTER, vantage="cluster")
    assert set(both) == {"tcp:mail", "workload:mail", "kubernetes:shop", "environment:live"}
    assert (both["tcp:mail"].owner, both["tcp:mail"].skip) == ("mail team", "out-of-reach")
    assert both["workload:mail"].skip == ""


def test_its_version_is_that_of_its_pods(tmp_path: Path) -> None:
    shipped = f'{CLUSTER}manifests = ["*.yaml"]\n'
    inside = found(tmp_path, 'workload = "deployment/mail"', shipped, vantage="cluster")
    assert inside["service:mail"].features == {"version"}
    assert "service:mail" not in found(tmp_path, 'workload = "deployment/mail"', shipped)


def test_a_slot_moves_its_port_only_by_name(tmp_path: Path) -> None:
    """`connect_to` of a slot is where requests by HTTP go."""
    slots = (
        '[environments.live.slots]\ngreen = { connect_to = "10.0.0.1:443" }\n'
        'blue = { services = { mail = "10.0.0.2:25" } }\n'
    )
    assert found(tmp_path, 'tcp = "mail:25"', slots, slot="green")["tcp:mail"].skip == "out-of-reach"
    assert found(tmp_path, 'tcp = "mail:25"', slots, slot="blue")["tcp:mail"].skip == ""
    moved = load_text(tmp_path, live('tcp = "mail:25"', slots)).environment("live", slot="blue").services["mail"]
    assert moved.connect_to == "10.0.0.2:25"


def test_a_metric_of_it_is_enough(tmp_path: Path) -> None:
    metric = (
        '[environments.live.metrics.queue]\nper = "service"\nmin_samples = 1\nat_most = 5\nany_revision = true\n'
        'query = "q{{service=\\"{service}\\"}}[{window}]"\nsamples = "s{{service=\\"{service}\\"}}[{window}]"\n'
    )
    assert set(found(tmp_path, 'owner = "mail team"', PROMETHEUS + metric)) == {"metric:queue", "environment:live"}


def test_a_gate_of_a_port(tmp_path: Path) -> None:
    """Open where it accepts, with what that does not prove; closed where it does not; nothing of HTTP is judged."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        project = Project.make(tmp_path, live(f'tcp = "127.0.0.1:{listening.getsockname()[1]}"'), "")
        done = project.pytest("--revision", "r1", env="live")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert "only the port of mail was checked" in done.stdout
    done = project.pytest("--revision", "r1", env="live")
    assert "BLOCKED" in done.stdout
    assert done.returncode == 1


def test_a_gate_of_a_workload_that_is_out_of_reach_cannot_tell(tmp_path: Path) -> None:
    project = Project.make(tmp_path, live('workload = "deployment/mail"', CLUSTER), "")
    done = project.pytest("--revision", "r1", env="live")
    assert done.returncode == 13
    assert "no positive evidence" in done.stdout


def test_commands_tell_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prodcheck.toml").write_text(live('tcp = "mail:25"\nworkload = "deployment/mail"', CLUSTER))
    where = ["-C", str(tmp_path)]
    for words in (
        ["validate"], ["env", "live"], ["plan", "smoke", "--env", "live"], ["doctor", "--env", "live"],
        ["plan", "security", "--env", "live"], ["checks", "--env", "live"], ["grants", "--env", "live"],
    ):  # fmt: skip
        dispatch([words[0], *where, *words[1:]])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        assert words[0] != "plan" or words[1] == "security" or "mail:25" in said.out
        assert words[0] != "doctor" or "http is not declared" not in said.out
