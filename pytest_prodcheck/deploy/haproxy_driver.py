"""The driver `haproxy`: traffic by HAProxy's runtime API, and in a file, so that a reload keeps it; copies by programs.

Blue-green and canary: one line of one map, "SLOT PERCENT", is the whole switch. Rolling: servers are drained, then in
maintenance (one that is drained still gets whoever has its cookie), made ready again, and the state file is written.
"""

from __future__ import annotations

import csv
import io
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_prodcheck.deploy.commands_driver import POLL_INTERVAL, ProgramCopies, is_percent, wait_until
from pytest_prodcheck.deploy.drivers import DriverProblem
from pytest_prodcheck.deploy.plan import ObservedState, Shares, even_shares
from pytest_prodcheck.gates.files import replace_file

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.drivers import DriverContext

_MAX_ANSWER_BYTES = 16 * 1024 * 1024  # bytes of an answer
_STARTING, _RUNNING = "1", "2"  # `srv_op_state`; the first takes requests too, but fewer: `slowstart`
_SLOWEST_START = 900.0  # seconds that `slowstart` is waited for: the others are busier until its end
_FORCED_MAINTENANCE = 1  # of `srv_admin_state`
# of it, what keeps requests away: maintenance and drain, forced, inherited or for want of an address. CMAINT (4) and
# HMAINT (64) only say what the configuration has, or that the name was changed, and stay when a server is made ready.
_NO_REQUESTS = 1 | 2 | 8 | 16 | 32
_COMMANDS_WITH_OUTPUT = ("show map", "show stat", "show servers state")


class _Unreachable(DriverProblem):
    """HAProxy does not answer, as while it is reloaded."""


class HaproxyDriver:
    """One HAProxy, by its stats socket."""

    def __init__(self, context: DriverContext) -> None:
        assert context.settings.haproxy is not None
        self._settings, self._slots = context.settings.haproxy, context.settings.slots
        self._root, self._copies = context.root, ProgramCopies(context)
        self.start, self.stop = self._copies.start, self._copies.stop

    def observe(self) -> ObservedState:
        """What each slot runs and how traffic is shared: as HAProxy does it, which its file has to agree with."""
        return ObservedState(self._copies.revisions(), self._shares(), self._reload_difference())

    def share(self, shares: Shares) -> None:
        """First the file, so that a reload between the two cannot undo what was done, then HAProxy itself.

        Where HAProxy is reloaded at this moment it is done again: it says where to arrive.
        """
        end = time.monotonic() + self._settings.timeout
        while True:
            try:
                return self._share(shares)
            except _Unreachable:
                if time.monotonic() > end:
                    raise
            time.sleep(POLL_INTERVAL)

    def _share(self, shares: Shares) -> None:
        serving = [slot for slot, percent in shares if percent]
        if self._settings.map is not None:
            self._wait_until_up(serving)
            slot, percent = shares[1]
            self._write(Path(self._settings.map), f"{slot} {percent}\n")
            name = self._map_name()
            there = self._entries(name)
            verb = "set" if any(key == slot for key, _ in there) else "add"
            message = self._send_command(f"{verb} map {name} {slot} {percent}")
            if message:
                raise DriverProblem(f"HAProxy refused {verb} map: {message[:200]}")
        else:
            self._set_serving(frozenset(serving))
            self._wait_until_up(serving)
        wait_until(
            lambda: self._shares() == shares, self._settings.drain, "HAProxy does not use the new traffic shares"
        )
        idle = [slot for slot, percent in shares if not percent]
        self._drain(idle)
        if self._settings.map is None:
            self._set(dict.fromkeys(idle, "maint"))

    def _shares(self) -> Shares:
        if self._settings.map is None:
            return even_shares(self._slots, self._serving_slots(self._send_command("show servers state")))
        return self._shares_of_map(self._entries(self._map_name()))

    def _reload_difference(self) -> str:
        """Why a reload would change what HAProxy does."""
        name = self._settings.map or self._settings.state or ""
        try:
            text = self._resolve(name).read_text(encoding="utf-8")
        except OSError as error:
            raise DriverProblem(f"{name}: {error.strerror}") from None
        except ValueError:
            raise DriverProblem(f"{name}: it is not a text file") from None
        try:
            kept = self._shares_in_file(text)
        except DriverProblem as error:
            return f"{name}: {error}"
        now = ", ".join(f"{slot} {percent}" for slot, percent in self._shares())
        then = ", ".join(f"{slot} {percent}" for slot, percent in kept)
        return (
            ""
            if now == then
            else f"HAProxy uses the traffic shares {now}; after a reload it would use those of {name}: {then}"
        )

    def _shares_in_file(self, text: str) -> Shares:
        """How a file has traffic shared; raises DriverProblem."""
        if self._settings.map is None:
            never_written = not text.strip()  # HAProxy starts with every server ready
            return even_shares(self._slots, frozenset(self._slots) if never_written else self._serving_slots(text))
        lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        return self._shares_of_map({(line[0], " ".join(line[1:])) for line in lines})

    def _shares_of_map(self, found: set[tuple[str, str]]) -> Shares:
        """Of keys and values: HAProxy keeps several lines of one key, and goes by the first."""
        slot = self._slots[1]
        key, text = next(iter(found), ("", ""))
        if len(found) != 1 or key != slot or not is_percent(text):
            told = ", ".join(sorted(" ".join(each) for each in found))[:200] or "nothing"
            raise DriverProblem(f'the map holds {told}: expected one line "{slot} PERCENT"')
        return ((self._slots[0], 100 - int(text)), (slot, int(text)))

    def _map_name(self) -> str:
        """As HAProxy calls it: its number, by the path that it was loaded from."""
        path = str(self._resolve(self._settings.map or ""))
        for line in self._send_command("show map").splitlines():
            number, _, rest = line.partition(" ")
            loaded = rest.partition("(")[2].partition(")")[0]
            if loaded and str(self._resolve(loaded)) == path and number.isdigit():
                return f"#{number}"
        raise DriverProblem(f"HAProxy has not loaded the map {path}")

    def _entries(self, name: str) -> set[tuple[str, str]]:
        rows = [line.split() for line in self._send_command(f"show map {name}").splitlines() if line.strip()]
        return {(row[1], row[2]) for row in rows if len(row) == 3}

    def _set_serving(self, serving: frozenset[str]) -> None:
        """Makes servers ready before others are drained, so that somebody always serves.

        One in maintenance stays so: to drain it would bring those with its cookie back.
        """
        servers = self._servers(self._send_command("show servers state"))
        idle = [slot for slot in self._slots if slot not in serving and not _is_in_maintenance(servers[slot])]
        self._set({**dict.fromkeys(sorted(serving), "ready"), **dict.fromkeys(idle, "drain")})

    def _set(self, states: dict[str, str]) -> None:
        for slot, state in states.items():
            if message := self._send_command(f"set server {self._settings.backend}/{slot} state {state}"):
                raise DriverProblem(f"HAProxy refused {state} of {slot}: {message[:200]}")
        # without its last line end HAProxy takes the whole file for damaged
        self._write(Path(self._settings.state or ""), self._send_command("show servers state") + "\n")

    def _serving_slots(self, text: str) -> frozenset[str]:
        """The servers that take requests, in the form of `show servers state`."""
        return frozenset(slot for slot, row in self._servers(text).items() if _takes_requests(row))

    def _servers(self, text: str) -> dict[str, dict[str, str]]:
        lines = text.splitlines()
        names = next((line[2:].split() for line in lines if line.startswith("# be_id")), None)
        if names is None:
            raise DriverProblem("there are no server states")
        rows = [dict(zip(names, line.split(), strict=False)) for line in lines if line[:1].isdigit() and len(line) > 1]
        servers = {row["srv_name"]: row for row in rows if row.get("be_name") == self._settings.backend}
        missing = [slot for slot in self._slots if slot not in servers]
        if missing or set(servers) != set(self._slots):
            there = ", ".join(sorted(servers))
            raise DriverProblem(
                f"the servers of the backend {self._settings.backend} are {there}; they must be named as the slots"
            )
        return servers

    def _wait_until_up(self, slots: list[str]) -> None:
        """Until HAProxy's own checks of them pass, and none is in its slow start, which may take longer than `drain`.

        HAProxy calls a server up as soon as it is made ready, before it has checked it.
        """
        began = time.monotonic()
        end = began + self._settings.drain
        while waiting := [each for slot in slots if (each := self._not_up(slot))]:
            now = time.monotonic()
            if "slow start" in waiting[0] and now < began + _SLOWEST_START:
                end = max(end, now + self._settings.drain)
            if now > end:
                raise DriverProblem(f"HAProxy does not serve {waiting[0]} within {self._settings.drain:g} s")
            time.sleep(POLL_INTERVAL)

    def _not_up(self, slot: str) -> str:
        """Why a slot cannot have its whole share, "" where it can."""
        row = self._statistics(slot)
        if row is None or (row["status"] in ("UP", "no check", "OPEN") and not row.get("throttle")):
            return ""
        slow = f", in its slow start ({row['throttle']} %)" if row.get("throttle") else ""
        return f"{slot}: {row['status']}{slow} {row.get('last_chk', '')}".rstrip()

    def _drain(self, slots: list[str]) -> None:
        """Waits, bounded by `drain`, until copies without traffic have answered what they were asked."""
        end = time.monotonic() + self._settings.drain
        while slots and any(self._has_requests(slot) for slot in slots) and time.monotonic() < end:
            time.sleep(POLL_INTERVAL / 4)

    def _has_requests(self, slot: str) -> bool:
        row = self._statistics(slot)
        return row is not None and int(row["scur"] or 0) + int(row["qcur"] or 0) > 0

    def _statistics(self, slot: str) -> dict[str, str] | None:
        """The row of `show stat` about the server or the backend that is a slot."""
        wanted = (slot, "BACKEND") if self._settings.backend is None else (self._settings.backend, slot)
        rows = csv.DictReader(io.StringIO(self._send_command("show stat").removeprefix("# ")))
        return next((row for row in rows if (row["pxname"], row["svname"]) == wanted), None)

    def _resolve(self, name: str) -> Path:
        return (self._root / name).resolve()

    def _write(self, path: Path, text: str) -> None:
        """Replaces a file and leaves its mode as it was: HAProxy reads it as another user."""
        path = self._resolve(str(path))
        try:
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
            replace_file(path, text.encode())
            path.chmod(mode)
        except OSError as error:
            raise DriverProblem(f"{path} cannot be written: {error.strerror}") from None

    def _send_command(self, line: str) -> str:
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
                    if len(answer) > _MAX_ANSWER_BYTES or time.monotonic() > end:
                        raise DriverProblem(f"HAProxy's answer to {line!r} is too long or too slow")
        except OSError as error:
            raise _Unreachable(f"HAProxy's socket {path}: {error.strerror or error}") from None
        if not answer.strip() and line in _COMMANDS_WITH_OUTPUT:
            raise _Unreachable(f"HAProxy's socket {path}: empty answer to {line!r}")
        return answer.decode("utf-8", "replace").strip()


def _takes_requests(row: dict[str, str]) -> bool:
    """No reason for drain or maintenance, up, and a weight: with none it gets nothing, also where it is the last."""
    admin, weight = row.get("srv_admin_state", ""), row.get("srv_uweight", "")
    kept_away = not admin.isdigit() or bool(int(admin) & _NO_REQUESTS)
    return not kept_away and row.get("srv_op_state") in (_STARTING, _RUNNING) and weight not in ("", "0")


def _is_in_maintenance(row: dict[str, str]) -> bool:
    admin = row.get("srv_admin_state", "")
    return admin.isdigit() and bool(int(admin) & _FORCED_MAINTENANCE)
