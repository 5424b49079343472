"""The driver `haproxy`: traffic by HAProxy's runtime API, and in a file, so that a reload keeps it; copies by programs.

Blue-green and canary: one line of one map, "SLOT PERCENT", is the whole switch. Rolling: servers are drained and made
ready again, and the state file is written.
"""

from __future__ import annotations

import csv
import io
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.commands_driver import PAUSE, Copies, is_percent, wait
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.plan import Shares, World, equal
from pytest_prodcheck.gates.files import replace_file

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.drivers import Site

_LARGEST = 16 * 1024 * 1024  # bytes of an answer
_RUNNING = "2"  # `srv_op_state`
_ALWAYS_ANSWERED = ("show map", "show stat", "show servers state")


class _Gone(DriverProblem):
    """HAProxy does not answer, as while it is reloaded."""


class HaproxyDriver:
    """One HAProxy, by its stats socket."""

    def __init__(self, site: Site) -> None:
        assert site.settings.haproxy is not None
        self._settings, self._slots = site.settings.haproxy, site.settings.slots
        self._root, self._copies = site.root, Copies(site)
        self.start, self.stop = self._copies.start, self._copies.stop

    def observe(self) -> World:
        """What each slot runs and how traffic is shared: as HAProxy does it, which its file has to agree with."""
        return World(self._copies.revisions(), self._shares(), self._trouble())

    def share(self, shares: Shares) -> None:
        """First the file, so that a reload between the two cannot undo what was done, then HAProxy itself.

        Where HAProxy is reloaded at this moment it is done again: it says where to arrive.
        """
        end = time.monotonic() + self._settings.timeout
        while True:
            try:
                return self._share(shares)
            except _Gone:
                if time.monotonic() > end:
                    raise
            time.sleep(PAUSE)

    def _share(self, shares: Shares) -> None:
        if self._settings.map is not None:
            slot, percent = shares[1]
            self._write(Path(self._settings.map), f"{slot} {percent}\n")
            name = self._map_name()
            there = self._entries(name)
            verb = "set" if slot in there else "add"
            said = self._ask(f"{verb} map {name} {slot} {percent}")
            if said:
                raise DriverProblem(f"HAProxy refused {verb} map: {said[:200]}")
        else:
            self._serve(frozenset(slot for slot, percent in shares if percent))
        wait(lambda: self._shares() == shares, self._settings.drain, "HAProxy does not share as asked")
        self._drain([slot for slot, percent in shares if not percent])

    def _shares(self) -> Shares:
        if self._settings.map is None:
            return equal(self._slots, self._serving(self._ask("show servers state")))
        return self._percent(self._entries(self._map_name()))

    def _trouble(self) -> str:
        """Why a reload would change what HAProxy does."""
        name = self._settings.map or self._settings.state or ""
        try:
            text = self._file(name).read_text(encoding="utf-8")
        except OSError as error:
            raise DriverProblem(f"{name}: {error.strerror}") from None
        except ValueError:
            raise DriverProblem(f"{name}: it is no text") from None
        try:
            kept = self._kept(text)
        except DriverProblem as error:
            return f"{name}: {error}"
        now = ", ".join(f"{slot} {percent}" for slot, percent in self._shares())
        then = ", ".join(f"{slot} {percent}" for slot, percent in kept)
        return "" if now == then else f"HAProxy shares by {now}; after a reload, by {name}, it would by {then}"

    def _kept(self, text: str) -> Shares:
        """How a file has traffic shared; raises DriverProblem."""
        if self._settings.map is None:
            never_written = not text.strip()  # HAProxy starts with every server ready
            return equal(self._slots, frozenset(self._slots) if never_written else self._serving(text))
        lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        return self._percent({line[0]: " ".join(line[1:]) for line in lines})

    def _percent(self, found: dict[str, str]) -> Shares:
        slot = self._slots[1]
        text = found.get(slot, "")
        if set(found) != {slot} or not is_percent(text):
            raise DriverProblem(f'the map holds {str(found)[:200]}: expected one line "{slot} PERCENT"')
        return ((self._slots[0], 100 - int(text)), (slot, int(text)))

    def _map_name(self) -> str:
        """As HAProxy calls it: its number, by the path that it was loaded from."""
        path = str(self._file(self._settings.map or ""))
        for line in self._ask("show map").splitlines():
            number, _, rest = line.partition(" ")
            loaded = rest.partition("(")[2].partition(")")[0]
            if loaded and str(self._file(loaded)) == path and number.isdigit():
                return f"#{number}"
        raise DriverProblem(f"HAProxy has no map {path}")

    def _entries(self, name: str) -> dict[str, str]:
        rows = [line.split() for line in self._ask(f"show map {name}").splitlines() if line.strip()]
        return {row[1]: row[2] for row in rows if len(row) == 3}

    def _serve(self, serving: frozenset[str]) -> None:
        """Makes servers ready before others are drained, so that somebody always serves."""
        for slot in sorted(self._slots, key=lambda slot: slot not in serving):
            state = "ready" if slot in serving else "drain"
            if said := self._ask(f"set server {self._settings.backend}/{slot} state {state}"):
                raise DriverProblem(f"HAProxy refused {state} of {slot}: {said[:200]}")
        # without its last line end HAProxy takes the whole file for damaged
        self._write(Path(self._settings.state or ""), self._ask("show servers state") + "\n")

    def _serving(self, text: str) -> frozenset[str]:
        """The servers that take requests, in the form of `show servers state`."""
        lines = text.splitlines()
        names = next((line[2:].split() for line in lines if line.startswith("# be_id")), None)
        if names is None:
            raise DriverProblem("there are no states of servers")
        rows = [dict(zip(names, line.split(), strict=False)) for line in lines if line[:1].isdigit() and len(line) > 1]
        servers = {row["srv_name"]: row for row in rows if row.get("be_name") == self._settings.backend}
        missing = [slot for slot in self._slots if slot not in servers]
        if missing or set(servers) != set(self._slots):
            there = ", ".join(sorted(servers))
            raise DriverProblem(f"the servers of {self._settings.backend} are {there}, not the slots")
        return frozenset(slot for slot, row in servers.items() if _takes_requests(row))

    def _drain(self, slots: list[str]) -> None:
        """Waits, bounded by `drain`, until copies without traffic have answered what they were asked."""
        end = time.monotonic() + self._settings.drain
        while slots and any(self._busy(slot) for slot in slots) and time.monotonic() < end:
            time.sleep(PAUSE / 4)

    def _busy(self, slot: str) -> bool:
        text = self._ask("show stat").removeprefix("# ")
        for row in csv.DictReader(io.StringIO(text)):
            ours = (row["pxname"], row["svname"]) == (self._settings.backend, slot)
            if ours or (self._settings.backend is None and (row["pxname"], row["svname"]) == (slot, "BACKEND")):
                return int(row["scur"] or 0) + int(row["qcur"] or 0) > 0
        return False

    def _file(self, name: str) -> Path:
        return (self._root / name).resolve()

    def _write(self, path: Path, text: str) -> None:
        """Replaces a file and leaves its mode as it was: HAProxy reads it as another user."""
        path = self._file(str(path))
        try:
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
            replace_file(path, text.encode())
            path.chmod(mode)
        except OSError as error:
            raise DriverProblem(f"{path} cannot be written: {error.strerror}") from None

    def _ask(self, line: str) -> str:
        """HAProxy's answer to one command."""
        path, answer = str(self._root / self._settings.socket), bytearray()
        end = time.monotonic() + self._settings.timeout
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(self._settings.timeout)
                sock.connect(path)
                sock.sendall(line.encode() + b"\n")
                while part := sock.recv(65536):
                    answer += part
                    if len(answer) > _LARGEST or time.monotonic() > end:
                        raise DriverProblem(f"HAProxy's answer to {line!r} does not end")
        except OSError as error:
            raise _Gone(f"HAProxy's socket {path}: {error.strerror or error}") from None
        if not answer.strip() and line in _ALWAYS_ANSWERED:
            raise _Gone(f"HAProxy's socket {path}: no answer to {line!r}")
        return answer.decode("utf-8", "replace").strip()


def _takes_requests(row: dict[str, str]) -> bool:
    admin = row.get("srv_admin_state", "")
    return admin == "0" and row.get("srv_op_state") == _RUNNING  # no reason for drain or maintenance, and up
