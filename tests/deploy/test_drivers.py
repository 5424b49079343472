"""Drivers: one contract for all, on a real HAProxy and real copies; and what each of them refuses."""

from __future__ import annotations

import csv
import http.client
import io
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pytest_prodcheck.cli import main
from pytest_prodcheck.deploy.commands_driver import CommandsDriver, parse_slot_values
from pytest_prodcheck.deploy.deployment import Deployment, DeployOptions
from pytest_prodcheck.deploy.driver_table import create_driver
from pytest_prodcheck.deploy.drivers import Driver, DriverContext, DriverProblem
from pytest_prodcheck.deploy.haproxy_driver import HaproxyDriver
from pytest_prodcheck.deploy.plan import PlanProblem, even_shares
from pytest_prodcheck.deploy.programs import ProgramRunner
from pytest_prodcheck.environments.loading import load
from tests.deploy.contract import keeps_the_contract
from tests.deploy.model import ModelDriver, Quiet, reality
from tests.deploy.site import Site, site
from tests.field.web.support import free_port

OWN = """\
from tests.deploy.model import ModelDriver, reality

def driver(site):
    return ModelDriver(reality("blue-green"))
"""


def made(there: Site, **changed: object) -> DriverContext:
    configuration = load(there.folder / "prodcheck.toml")
    deploy = configuration.project.environments["production"].deploy
    assert deploy is not None
    settings = deploy.model_copy(update=changed)
    return DriverContext(settings, configuration.root, "", (), ProgramRunner(configuration.root))


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site"), "blue-green", driver="haproxy") as there:
        yield there


def commands(there: Site) -> Driver:
    """The same site, driven by its script alone."""
    settings = made(there).settings
    assert settings.commands is not None
    from pytest_prodcheck.environments.sections.deploy import ShareCommands

    start = settings.commands.copy_.start[:3]
    share = ShareCommands(do=(*start, "share", "{shares}"), observe=(*start, "shared"))
    both = settings.commands.model_copy(update={"share": share})
    return CommandsDriver(made(there, driver="commands", commands=both))


def test_the_contract_on_the_model() -> None:
    keeps_the_contract(ModelDriver(reality("blue-green")))


def test_the_contract_by_commands(balanced: Site) -> None:
    keeps_the_contract(commands(balanced))


def test_the_contract_by_haproxy(balanced: Site) -> None:
    keeps_the_contract(create_driver(made(balanced)))


def test_a_reload_of_haproxy_keeps_the_share_and_a_file_that_disagrees_is_told(balanced: Site) -> None:
    driver = create_driver(made(balanced))
    driver.share((("blue", 70), ("green", 30)))
    balanced.reload()
    assert driver.observe().shares == (("blue", 70), ("green", 30))
    (balanced.folder / "share.map").write_text("green 5\n")
    assert "after a reload it would use those of share.map: blue 95, green 5" in driver.observe().problem
    driver.share((("blue", 100), ("green", 0)))
    assert driver.observe().problem == ""


def test_haproxy_that_somebody_reloads_while_traffic_is_moved(balanced: Site) -> None:
    there = made(balanced)
    assert there.settings.haproxy is not None
    patient = there.settings.haproxy.model_copy(update={"timeout": 60.0, "drain": 60.0})
    driver, percent = create_driver(made(balanced, haproxy=patient)), 0
    with ThreadPoolExecutor(1) as threads:
        reload = threads.submit(balanced.reload)
        while not reload.done() or percent < 3:
            percent += 1
            driver.share((("blue", 100 - percent), ("green", percent)))
        reload.result()
    assert driver.observe().shares == (("blue", 100 - percent), ("green", percent))
    driver.share((("blue", 100), ("green", 0)))
    assert driver.observe().problem == ""


EVERYBODY, WITHOUT_A = (even_shares(("a", "b", "c"), frozenset(each)) for each in ("abc", "bc"))


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("rolled"), "rolling") as there:
        yield there


def ask(there: Site, line: str) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(there.folder / "admin.sock"))
        sock.sendall(line.encode() + b"\n")
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


def test_rolling_servers_by_haproxy(rolled: Site) -> None:
    driver = create_driver(made(rolled))
    assert driver.observe().shares == EVERYBODY
    driver.share(WITHOUT_A)
    rolled.reload()
    assert (driver.observe().shares, driver.observe().problem) == (WITHOUT_A, "")
    kept = (rolled.folder / "server.state").read_text()
    (rolled.folder / "server.state").write_text("1\n")
    assert "no server states" in driver.observe().problem
    (rolled.folder / "server.state").write_text(kept)
    driver.share(EVERYBODY)
    assert (driver.observe().shares, driver.observe().problem) == (EVERYBODY, "")


def test_who_has_a_cookie_of_a_drained_copy_goes_elsewhere(rolled: Site) -> None:
    """opserver/Opserver#132, jcmoraisjr/haproxy-ingress#42: `drain` lets those with its cookie in, `maint` does not."""

    def sent_to_a() -> int:
        rows = csv.DictReader(io.StringIO(ask(rolled, "show stat").removeprefix("# ")))
        return next(int(row["stot"]) for row in rows if (row["pxname"], row["svname"]) == ("shop", "a"))

    def ask_with_its_cookie() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", rolled.port, timeout=20)) as connection:
            connection.request("GET", "/product", headers={"Cookie": "copy=a"})
            assert connection.getresponse().status == 200

    driver, before = create_driver(made(rolled)), sent_to_a()
    ask_with_its_cookie()
    assert sent_to_a() == before + 1
    for _ in range(2):  # also where it is done again
        driver.share(WITHOUT_A)
        ask_with_its_cookie()
        assert sent_to_a() == before + 1
    driver.share(EVERYBODY)
    ask_with_its_cookie()
    assert sent_to_a() == before + 2


def test_a_server_without_weight_serves_nobody(rolled: Site) -> None:
    """rancher/rancher#10593, haproxytech/dataplaneapi#1: weight 0 is another way to drain, and no state says so."""
    driver = create_driver(made(rolled))
    ask(rolled, "set server shop/a weight 0")
    try:
        assert driver.observe().shares == WITHOUT_A
    finally:
        ask(rolled, "set server shop/a weight 100%")
    assert driver.observe().shares == EVERYBODY


def test_a_server_that_the_configuration_disables_and_somebody_made_ready_serves(rolled: Site) -> None:
    """haproxy/haproxy#953: its `srv_admin_state` stays CMAINT (4), and it takes requests: HAProxy's routing says so."""

    def sent_to_a() -> int:
        rows = csv.DictReader(io.StringIO(ask(rolled, "show stat").removeprefix("# ")))
        return next(int(row["stot"]) for row in rows if (row["pxname"], row["svname"]) == ("shop", "a"))

    file = rolled.folder / "haproxy.cfg"
    declared, kept = file.read_text(), (rolled.folder / "server.state").read_text()
    file.write_text(declared.replace("cookie a\n", "cookie a disabled\n"))
    (rolled.folder / "server.state").write_text("")
    rolled.reload()
    try:
        driver = create_driver(made(rolled))
        assert driver.observe().shares == WITHOUT_A
        driver.share(EVERYBODY)
        before = sent_to_a()
        for _ in range(6):
            with closing(http.client.HTTPConnection("127.0.0.1", rolled.port, timeout=20)) as connection:
                connection.request("GET", "/product")
                assert connection.getresponse().status == 200
        assert (sent_to_a() > before, driver.observe().shares) == (True, EVERYBODY)
        rolled.reload()
        assert (driver.observe().shares, driver.observe().problem) == (EVERYBODY, "")
        driver.share(WITHOUT_A)
        assert driver.observe().shares == WITHOUT_A
        rolled.reload()
        assert (driver.observe().shares, driver.observe().problem) == (WITHOUT_A, "")
    finally:
        file.write_text(declared)
        (rolled.folder / "server.state").write_text(kept)
        rolled.reload()
        driver.share(EVERYBODY)


def test_a_server_in_its_slow_start_serves_and_is_waited_for(rolled: Site) -> None:
    """HAProxy's `slowstart`: it has requests, and the next copy is not taken away before it can have its share."""
    file = rolled.folder / "haproxy.cfg"
    declared = file.read_text()
    slow = "  default-server check inter 100ms slowstart 3s"
    file.write_text(declared.replace("  balance roundrobin", f"  balance roundrobin\n{slow}"))
    rolled.reload()
    try:
        driver = create_driver(made(rolled))
        driver.share(WITHOUT_A)
        seen: list[tuple[str, object]] = []
        with ThreadPoolExecutor(1) as threads:
            back = threads.submit(driver.share, EVERYBODY)
            while not back.done():
                seen.append((states(rolled)["a"], driver.observe().shares))
            back.result()
        assert ("1", EVERYBODY) in seen, seen[:3]
        assert states(rolled) == {"a": "2", "b": "2", "c": "2"}
        assert (driver.observe().shares, driver.observe().problem) == (EVERYBODY, "")
    finally:
        file.write_text(declared)
        rolled.reload()


def test_a_server_that_haproxys_own_check_finds_down_has_no_traffic(rolled: Site) -> None:
    """haproxy/haproxy#51, ansible/ansible-modules-extras#622: made ready, it is up until its first check fails."""
    file = rolled.folder / "haproxy.cfg"
    declared = file.read_text()
    checked = declared.replace("cookie a", f"cookie a check inter 300ms port {free_port()}")
    driver = create_driver(impatient(rolled))
    driver.share(WITHOUT_A)
    file.write_text(checked)
    rolled.reload()
    try:
        with pytest.raises(DriverProblem, match="HAProxy does not serve a: DOWN"):
            driver.share(EVERYBODY)
    finally:
        file.write_text(declared)
        rolled.reload()
        driver.share(EVERYBODY)


def test_a_backend_that_haproxys_own_check_finds_down_has_no_traffic(balanced: Site) -> None:
    """The copy answers; the address that HAProxy checks is one that the new revision does not have."""
    file, driver = balanced.folder / "haproxy.cfg", create_driver(impatient(balanced))
    declared = file.read_text()
    green = f"  server s 127.0.0.1:{balanced.ports['green']}"
    file.write_text(declared.replace(green, f"{green} check inter 100ms port {free_port()}"))
    balanced.reload()
    try:
        with pytest.raises(DriverProblem, match="HAProxy does not serve green: DOWN"):
            driver.share((("blue", 90), ("green", 10)))
        assert driver.observe().shares == (("blue", 100), ("green", 0))
    finally:
        file.write_text(declared)
        balanced.reload()


def impatient(there: Site) -> DriverContext:
    settings = made(there).settings.haproxy
    assert settings is not None
    return made(there, haproxy=settings.model_copy(update={"drain": 1.0}))


def states(there: Site) -> dict[str, str]:
    """Server -> `srv_op_state`."""
    rows = [line.split() for line in ask(there, "show servers state").splitlines()]
    return {row[3]: row[5] for row in rows if len(row) > 5 and row[1] == "shop"}


def test_of_two_lines_of_a_map_haproxy_goes_by_the_first(balanced: Site) -> None:
    """haproxytech/dataplaneapi#257: entries that are there twice."""
    driver, number = create_driver(made(balanced)), ask(balanced, "show map").splitlines()[1].split()[0]
    ask(balanced, f"add map #{number} green 40")
    with pytest.raises(DriverProblem, match='the map holds green 0, green 40: expected one line "green PERCENT"'):
        driver.observe()
    driver.share((("blue", 100), ("green", 0)))  # the way back makes them alike
    assert driver.observe().shares == (("blue", 100), ("green", 0))
    (balanced.folder / "share.map").write_text("green 0\ngreen 40\n")
    assert "expected one line" in driver.observe().problem
    balanced.reload()
    driver.share((("blue", 100), ("green", 0)))
    balanced.reload()


STRATEGIES = {
    "canary": ["start r2 in green", "traffic: blue 90 %, green 10 %", "traffic: blue 50 %, green 50 %",
               "traffic: blue 0 %, green 100 %", "stop blue"],
    "blue-green": ["start r2 in green", "traffic: blue 0 %, green 100 %", "stop blue"],
    "rolling": ["traffic: a 0 %, b 50 %, c 50 %", "start r2 in a", "traffic: a 34 %, b 33 %, c 33 %",
                "traffic: a 50 %, b 0 %, c 50 %", "start r2 in b", "traffic: a 34 %, b 33 %, c 33 %",
                "traffic: a 50 %, b 50 %, c 0 %", "start r2 in c", "traffic: a 34 %, b 33 %, c 33 %"],
}  # fmt: skip


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_dry_run_changes_neither_haproxy_nor_a_file_and_shows_every_undo(
    strategy: str, balanced: Site, rolled: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = rolled if strategy == "rolling" else balanced
    path = there.folder / "prodcheck.toml"
    declared = path.read_text()
    if strategy != "rolling":
        path.write_text(declared.replace('slot     = "here"', 'slot     = "here"\nretire   = true'))
    monkeypatch.chdir(there.folder)
    try:
        before = everything(there)
        assert main(["deploy", "--env", "production", "--revision", "r2", "-s", strategy, "--dry-run"]) == 0
        assert everything(there) == before
    finally:
        path.write_text(declared)
    lines = capsys.readouterr().out.splitlines()
    changes = [line.split(None, 1)[1].partition("  ")[0] for line in lines if "undo:" in line]
    assert changes == STRATEGIES[strategy]
    final = [at for at, line in enumerate(lines) if "point of no return" in line]
    if strategy == "rolling":
        assert "no point of no return" in lines[final[0]]
    else:
        assert "stop blue" in lines[final[0] + 1]
        assert "undo: none" in lines[final[0] + 1]


def everything(there: Site) -> dict[str, object]:
    """What HAProxy does and which process it is, which processes serve the slots, and every file with its times."""
    files = {
        str(path.relative_to(there.folder)): (path.lstat().st_mtime_ns, path.lstat().st_ino, path.lstat().st_mode)
        for path in there.folder.rglob("*")
        if "__pycache__" not in path.parts
    }
    commands = ("show servers state", "show map", "show map #0", "show backend")
    told = {line: without_ages(ask(there, line)) for line in commands}
    pid = next(line for line in ask(there, "show info").splitlines() if line.startswith("Pid:"))
    served = {slot: servers(there, port) for slot, port in there.ports.items()}
    return {**files, **told, "process": pid, "served by": served}


def without_ages(text: str) -> list[list[str]]:
    """`show servers state` without `srv_time_since_last_change`."""
    return [[*row[:9], *row[10:]] for row in map(str.split, text.splitlines())]


def servers(there: Site, port: int) -> list[str]:
    return [
        folder.name
        for folder in Path("/proc").glob("[0-9]*")
        if f"{there.folder}/server.py\0{port}\0".encode() in read(folder / "cmdline")
    ]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_balancer_that_is_gone(balanced: Site) -> None:
    settings = made(balanced).settings.haproxy
    assert settings is not None
    gone = made(balanced, haproxy=settings.model_copy(update={"socket": "not-there.sock"}))
    with pytest.raises(DriverProblem, match="socket"):
        HaproxyDriver(gone).observe()


@pytest.mark.parametrize("text", ["", "blue r1", "blue r1\nblue r1", "blue r1\ngreen r1\nred r1", "blue r1 x\ngreen -"])
def test_what_a_program_observes_is_whole_or_nothing(text: str) -> None:
    with pytest.raises(DriverProblem):
        parse_slot_values(text, ("blue", "green"), "observe")
    assert parse_slot_values("green -\n\nblue r1\n", ("blue", "green"), "observe") == {"green": "-", "blue": "r1"}


def test_a_driver_of_ones_own_is_one_file(balanced: Site) -> None:
    (balanced.folder / "own.py").write_text(OWN)
    keeps_the_contract(create_driver(made(balanced, driver="own.py")))
    for text in ("def driver(site): return 1", "1/0", "x = 1"):
        (balanced.folder / "own.py").write_text(text)
        with pytest.raises(PlanProblem, match=r"own\.py") as error:
            create_driver(made(balanced, driver="own.py"))
        assert error.value.code == 2


def test_a_deployer_of_another_folder_waits_for_the_same_haproxy(
    balanced: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another checkout, another name of the environment: one balancer."""
    text = (balanced.folder / "prodcheck.toml").read_text().replace("environments.production", "environments.live")
    for name in ("admin.sock", "share.map", "copies.py"):
        text = text.replace(f'"{name}"', f'"{balanced.folder / name}"')
    (tmp_path / "prodcheck.toml").write_text(text)
    monkeypatch.chdir(balanced.folder)
    with Deployment(DeployOptions("production"), balanced.folder, Quiet()).store.locked():
        monkeypatch.chdir(tmp_path)
        for words in (["--revision", "r2", "--auto-approve"], ["--undo"]):
            assert main(["deploy", "--env", "live", *words]) == 23
    assert "another deployment is in progress" in capsys.readouterr().out
    assert main(["deploy", "--env", "live", "--undo"]) == 4
