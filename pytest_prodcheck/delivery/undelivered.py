"""Messages that did not arrive, one sealed file each in the state folder: who may write there sends none as us."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_prodcheck.delivery.messages import Message
from pytest_prodcheck.gates.seal import KeyProblem, find_key, holds, sign
from pytest_prodcheck.reports.verdict_documents import LEVELS
from pytest_prodcheck.trusted_files import read_regular

FOLDER = "undelivered"
GIVEN_UP = 24 * 3600.0  # seconds after which nobody needs to be told any more
_LARGEST = 256 * 1024
_MOST = 100


@dataclass(frozen=True)
class UndeliveredMessage:
    """A message to a channel. at: UTC epoch second. arrived: places of its recipients who have it."""

    channel: str
    message: Message
    at: float
    arrived: tuple[int, ...] = ()

    @property
    def file(self) -> str:
        """Its name, which begins with its time."""
        told = json.dumps([self.channel, self.message.title, self.message.body])
        return f"{self.at:015.3f}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.json"


def waiting(state: Path) -> Iterator[UndeliveredMessage]:
    """What is kept, the oldest first; what cannot be read is left out."""
    folder, key = state / FOLDER, _key(state)
    names = sorted(each.name for each in folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []
    for name in names[:_MOST] if key is not None else ():
        try:
            found = json.loads(read_regular(str(folder / name), _LARGEST, follow=False))
            if not isinstance(found, dict) or key is None or not holds(found, key):
                continue
            told = found["message"]
            title, body, level = (str(told[key]) for key in ("title", "body", "level"))
            kept = UndeliveredMessage(
                str(found["channel"]),
                Message(title, body, level),
                float(found["at"]),
                tuple(map(int, found["arrived"])),
            )
            if kept.message.level in LEVELS and kept.file == name:
                yield kept
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue


def keep(state: Path, kept: UndeliveredMessage, arrived: Iterable[int]) -> str:
    """Writes it; returns what went wrong, "" where it is kept."""
    from pytest_prodcheck.gates.files import make_folder_in, replace_file

    key = _key(state)
    if key is None:
        return "there is no key to seal it with"
    try:
        make_folder_in(state, state / FOLDER)
        document = sign({**asdict(kept), "arrived": sorted(arrived)}, key)
        replace_file(state / FOLDER / kept.file, json.dumps(document).encode())
    except OSError as error:
        return str(error)
    return ""


def _key(state: Path) -> bytes | None:
    """What the run's verdicts are sealed with."""
    try:
        return find_key(str(state), str(state.parent))
    except (KeyProblem, OSError):
        return None


def forget(state: Path, kept: UndeliveredMessage) -> None:
    """Removes it."""
    (state / FOLDER / kept.file).unlink(missing_ok=True)
