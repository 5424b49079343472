"""When the newest run of each gate began, kept where no one who writes the state folder can take it back.

Everything in `.prodcheck` can be copied and put back later, seals and tickets too. So each run also notes its ticket
in the user's own folder ($XDG_STATE_HOME/prodcheck, else ~/.local/state/prodcheck): what is older is not the newest.
Where that folder cannot be written (no home), nothing is noted, and only `max_age` bounds what can be put back. Light.
"""

from __future__ import annotations

import errno
import os
from hashlib import sha256

from pytest_prodcheck.trusted_files import read_regular

_LARGEST = 4 * 1024 * 1024
_NO_HOME = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR)
_KEPT = 90 * 86400.0  # seconds after which the notes about a state folder that is no longer used are removed


def file_of(state: str) -> str:
    """Where the notes about a state folder are."""
    home = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.join(os.path.expanduser("~"), ".local", "state")
    parent, name = os.path.split(os.path.abspath(state))
    place = os.path.join(os.path.realpath(parent), name)
    return os.path.join(home, "prodcheck", sha256(os.fsencode(place)).hexdigest()[:32])


def newest_known(state: str, key: str) -> tuple[int, float]:
    """Ticket number and time (UTC epoch second) of the newest run for a key, zeros without one; raises OSError."""
    return _all_runs(file_of(state)).get(key, (0, 0.0))


def remember(state: str, key: str, number: int, at: float) -> None:
    """Notes a run, durably; does nothing where the user has no folder to write. Raises OSError for our own shortage."""
    from pathlib import Path

    from pytest_prodcheck.gates.files import locked, make_folder, replace_file

    file = Path(file_of(state))
    try:
        make_folder(file.parent)
        with locked(file.parent / ".lock"):
            _forget_old(str(file.parent))
            known = {**_all_runs(str(file)), key: (number, at)}
            lines = (f"{name} {one} {when!r}\n" for name, (one, when) in sorted(known.items()))
            replace_file(file, "".join(lines).encode())
    except OSError as error:
        if error.errno not in _NO_HOME:
            raise


def _all_runs(file: str) -> dict[str, tuple[int, float]]:
    try:
        content = read_regular(file, _LARGEST)
    except OSError as error:
        if error.errno in _NO_HOME:
            return {}
        raise
    found = {}
    for line in content.decode("utf-8", "replace").splitlines():
        try:
            key, number, at = line.split(" ")
            found[key] = (int(number), float(at))
        except ValueError:
            raise OSError(errno.EINVAL, "it is damaged: remove it and run the checks again", file) from None
    return found


def _forget_old(folder: str) -> None:
    import time

    with os.scandir(folder) as entries:
        for each in entries:
            if len(each.name) == 32 and time.time() - each.stat(follow_symlinks=False).st_mtime > _KEPT:
                os.unlink(each.path)
