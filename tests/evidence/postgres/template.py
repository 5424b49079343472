"""Clusters of the tests are copies of one that `initdb` made, once a session for each version and its options.

Copies share a system identifier: a test about two clusters has to give them different options.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pytest_prodcheck.demo.runtime import processes


class Spawner(processes.Spawner):
    """Copies the template where `initdb -D FOLDER …` is asked for."""

    def run(self, args: Sequence[str | Path], log: Path, timeout: float = 30) -> None:
        if Path(args[0]).name != "initdb":
            return super().run(args, log, timeout)
        words = list(args)
        place = words.index("-D") + 1
        data, words[place] = Path(words[place]), "data"
        about = (Path(words[0]).parent / "postgres").stat()  # the same in a copy of the programs
        key = hashlib.sha256(repr((about.st_size, about.st_mtime_ns, words[1:])).encode()).hexdigest()[:16]
        template = Path(os.environ["PRODCHECK_TESTS_TEMPLATES"]) / key
        with template.with_suffix(".lock").open("w") as lock:  # the workers share it
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not template.exists():
                new = self.folder(template.with_name(f"{key}-{secrets.token_hex(3)}"))
                super().run([*words[:place], new / "data", *words[place + 1 :]], log, timeout)
                new.rename(template)
        subprocess.run(["cp", "-a", "--reflink=auto", template / "data", data], check=True, timeout=timeout)
        return None
