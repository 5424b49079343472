"""The store: crashes, kills, full disks and several runs at once leave a gate closed or truthful."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_prodcheck.gates.store import Key, StoreError, Ticket, VerdictStore
from pytest_prodcheck.gates.verdict import Verdict
from pytest_prodcheck.outcomes import Outcome
from tests.gates.samples import judge, result
from tests.soak import SOAK

SECRET = b"k" * 32
KEY = Key("staging", "", "", "smoke")
OPEN = judge(result())
BLOCKED = judge(result(outcome=Outcome.FAILED))


@pytest.fixture
def store(tmp_path: Path) -> VerdictStore:
    return VerdictStore(tmp_path / ".prodcheck", SECRET)


def publish(store: VerdictStore, verdict: Verdict, run: str = "r") -> Ticket:
    ticket = store.withdraw(KEY, run)
    store.publish(replace(verdict, run=run), ticket)
    return ticket


@pytest.mark.parametrize("name", ["..", "a/b", "", "-x", ".hidden", "a b", "ü", "a\n", "x" * 101])
def test_names_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(ValueError, match="expected letters"):
        Key(name, "", "", "smoke")
    with pytest.raises(ValueError, match="expected letters"):
        Key("a", "", "", name)


def test_keys_do_not_share_a_file(tmp_path: Path) -> None:
    keys = [
        Key("a", "b", "", "c"),
        Key("a", "", "b", "c"),
        Key("a", "", "", "b.c"),
        Key("a", "", "", "c"),
        Key("a.b", "", "", "c"),
    ]
    assert len({key.file(tmp_path) for key in keys}) == len(keys)


def test_a_verdict_is_withdrawn_at_the_start_and_published_at_the_end(store: VerdictStore) -> None:
    """Row 10."""
    assert isinstance(store.read(KEY), str)
    first = publish(store, OPEN)
    found = store.read(KEY)
    assert isinstance(found, Verdict)
    assert (found.ticket, first.number) == (1, 1)
    second = store.withdraw(KEY, "r2")
    assert isinstance(store.read(KEY), str)
    assert (second.number, second.unbroken) == (2, True)
    assert second.previous == found


def test_only_the_newest_run_may_publish(store: VerdictStore) -> None:
    """Row 33: the later start wins."""
    first = store.withdraw(KEY, "first")
    second = store.withdraw(KEY, "second")
    with pytest.raises(StoreError, match="another run has started"):
        store.publish(OPEN, first)
    assert isinstance(store.read(KEY), str)
    store.publish(BLOCKED, second)
    with pytest.raises(StoreError, match="another run has started"):
        store.publish(OPEN, first)
    found = store.read(KEY)
    assert isinstance(found, Verdict)
    assert found.code == 1


def test_an_old_file_put_back_does_not_open(store: VerdictStore) -> None:
    publish(store, OPEN)
    content = KEY.file(store.state).read_bytes()
    publish(store, BLOCKED)
    KEY.file(store.state).write_bytes(content)
    assert isinstance(store.read(KEY), str)
    assert store.withdraw(KEY, "r3").unbroken is False


def test_only_the_run_just_before_makes_an_unbroken_series(store: VerdictStore) -> None:
    publish(store, OPEN)
    publish(store, BLOCKED)
    third = store.withdraw(KEY, "r3")
    assert third.previous is not None
    assert (third.previous.code, third.previous.ticket, third.unbroken) == (0, 1, False)
    store.withdraw(KEY, "crashed")
    assert store.withdraw(KEY, "r5").unbroken is False


def test_a_tampered_previous_verdict_counts_for_nothing(store: VerdictStore) -> None:
    publish(store, OPEN)
    store.withdraw(KEY, "r2")
    aside = KEY.file(store.state).with_suffix(".previous")
    aside.write_text(aside.read_text().replace('"open_since":1800000000.0', '"open_since":1.0'))
    assert store.withdraw(KEY, "r3").previous is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"number": "x"}', b'{"number": -1}', b"\xff", b"[" * 100000]
)
def test_a_damaged_ticket_closes_and_heals(store: VerdictStore, content: bytes) -> None:
    ticket = publish(store, OPEN)
    KEY.file(store.state).with_suffix(".ticket").write_bytes(content)
    assert isinstance(store.read(KEY), str)
    with pytest.raises(StoreError):
        store.publish(OPEN, ticket)
    publish(store, OPEN)
    assert isinstance(store.read(KEY), Verdict)


def test_a_removed_store_does_not_open(store: VerdictStore) -> None:
    ticket = store.withdraw(KEY, "r")
    for file in KEY.file(store.state).parent.iterdir():
        file.unlink()
    with pytest.raises(StoreError):
        store.publish(OPEN, ticket)
    assert isinstance(store.read(KEY), str)


def test_a_folder_in_the_place_of_the_verdict(store: VerdictStore) -> None:
    """Row 7."""
    KEY.file(store.state).mkdir(parents=True)
    with pytest.raises(StoreError, match="folder"):
        store.withdraw(KEY, "r")


FULL = """
import resource, signal, sys
from pathlib import Path
from pytest_prodcheck.gates.store import StoreError, VerdictStore
from tests.gates.samples import judge, result
from tests.gates.test_store import KEY, OPEN, SECRET
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = VerdictStore(Path(sys.argv[1]), SECRET)
limit = int(sys.argv[3])
if sys.argv[2] == "withdraw":
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    ticket = store.withdraw(KEY, "full")
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    store.publish(OPEN, ticket)
except StoreError as error:
    print(error)
    sys.exit(9)
"""


@pytest.mark.parametrize("when", ["withdraw", "publish"])
@pytest.mark.parametrize("limit", [0, 50, 500])
def test_no_room_on_the_disk(store: VerdictStore, when: str, limit: int) -> None:
    """Row 6: no file may grow beyond so many bytes, which fails as a full disk does."""
    publish(store, OPEN)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(store.state), when, str(limit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 9, done.stderr
    assert "cannot be" in done.stdout
    assert isinstance(store.read(KEY), str)
    assert not list(KEY.file(store.state).parent.glob("*.tmp"))
    publish(store, OPEN)
    assert isinstance(store.read(KEY), Verdict)


PUBLISHER = """
import sys
from dataclasses import replace
from pathlib import Path
from pytest_prodcheck.gates.store import StoreError, VerdictStore
from tests.gates.test_store import BLOCKED, KEY, OPEN, SECRET
store = VerdictStore(Path(sys.argv[1]), SECRET)
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    run = f"{sys.argv[2]}-{number}"
    try:
        ticket = store.withdraw(KEY, run)
        store.publish(replace(OPEN if number % 2 else BLOCKED, run=run), ticket)
    except StoreError:
        pass
"""


def publisher(state: Path, name: str, times: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", PUBLISHER, str(state), name, str(times)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def truthful(store: VerdictStore) -> str:
    """What lies there is closed, or is whole, sealed, and of the newest run; says which."""
    found = store.read(KEY)
    if isinstance(found, Verdict):
        ticket = json.loads(KEY.file(store.state).with_suffix(".ticket").read_bytes())
        assert (ticket["number"], ticket["run"]) == (found.ticket, found.run)
        assert found.code == (0 if int(found.run.rpartition("-")[2]) % 2 else 1)
        return found.status
    return "closed"


KILLER = """
import os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path
from pytest_prodcheck.gates.store import StoreError, VerdictStore
from tests.gates.test_store import BLOCKED, KEY, OPEN, SECRET, truthful
store, chance, found = VerdictStore(Path(sys.argv[1]), SECRET), random.Random(5), set()
for kill in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        for number in range(1_000_000):
            run = f"k{kill}-{number}"
            store.publish(replace(OPEN if number % 2 else BLOCKED, run=run), store.withdraw(KEY, run))
    time.sleep(chance.uniform(0.001, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found.add(truthful(store))
print(*sorted(found))
"""


def test_killed_at_any_point(store: VerdictStore) -> None:
    """Row 6: kill -9 while it withdraws and publishes as fast as it can."""
    kills = "1000" if SOAK else "50"
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(store.state), kills],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "closed" in done.stdout
    publish(store, OPEN)
    assert isinstance(store.read(KEY), Verdict)
    assert not list(KEY.file(store.state).parent.glob(".smoke.json.*.tmp"))


def test_many_runs_at_once(store: VerdictStore) -> None:
    """Row 33, by real processes: tickets never repeat, and the last verdict is of the newest ticket."""
    processes = [publisher(store.state, f"p{number}", 20) for number in range(4)]
    for process in processes:
        process.wait(60)
        assert process.returncode == 0
        if process.stdout:
            process.stdout.close()
    truthful(store)
    assert json.loads(KEY.file(store.state).with_suffix(".ticket").read_bytes())["number"] == 80


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read and write everything")
def test_a_folder_that_cannot_be_written(store: VerdictStore) -> None:
    publish(store, OPEN)
    folder = KEY.file(store.state).parent
    folder.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be withdrawn"):
            store.withdraw(KEY, "r")
    finally:
        folder.chmod(0o700)
