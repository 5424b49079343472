"""A project with a scratch folder, as one user has it, and what an attacker would have got."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_prodcheck.demo.postgres.cluster import Cluster
from tests.evidence.restore.as_user import CANARY, Outcome, restore
from tests.evidence.stores import Stores

USERS = ("", "nobody") if os.geteuid() == 0 else ("",)


HEAD = "--\n-- PostgreSQL database dump\n--\n\nSET standard_conforming_strings = on;\n"


END = "\n--\n-- PostgreSQL database dump complete\n--\n"


TABLE = "CREATE TABLE public.t (x text);\nCOPY public.t (x) FROM stdin;\na\\\\b\n\\.\n"


@dataclass
class Trap:
    """A project with a scratch folder, as one user has it; and what an attacker would have got."""

    place: Path
    user: str
    cluster: Cluster
    password: str
    listener: socket.socket
    path: str = ""
    more: dict[str, Any] = field(default_factory=dict)  # settings of the cluster
    umask: int = -1

    @property
    def archive(self) -> Path:
        """Of one's own: the cluster's is closed to others."""
        own = self.place / "archive"
        if not own.exists():
            shutil.copytree(self.cluster.archive, own)
        return own

    @property
    def loot(self) -> Path:
        return self.place / "loot"

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def run(self, kind: str, folder: str, programs: str = "", **how: Any) -> Outcome:
        """Restores, and looks that nothing was taken and the source is what it was."""
        for top in (self.place / folder, self.archive) if self.user else ():
            for path in (top, *top.rglob("*")):
                os.chown(path, pwd.getpwnam(self.user).pw_uid, -1, follow_symlinks=False)
        before = digest(self.place / folder)
        archive = {"archive": str(self.archive)} if kind == "basebackup" else {}
        archive |= {"programs": programs} if programs else {}
        backups = {"kind": kind, "folder": folder, **archive,
                   "restore": {"folder": "scratch", "check": "database", **how}}  # fmt: skip
        shop = {
            "nodes": [f"127.0.0.1:{self.cluster.primary.port}"], "database": "shop", "user": "prodcheck",
            "password": {"file": self.password}, "tls": {"mode": "prefer"}, "backups": backups, **self.more,
        }  # fmt: skip
        found = restore(self.place, {"postgres": {"shop": shop}}, self.user, path=self.path, umask=self.umask)
        assert list(self.loot.iterdir()) == []
        assert digest(self.place / folder) == before
        assert list((self.place / "scratch").iterdir()) == []
        self.listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            self.listener.accept()
        return found

    def find_only(self, *programs: str) -> None:
        """Others are not installed, as far as restores can tell."""
        (self.place / "bin").mkdir()
        for each in (*programs, "cp"):
            (self.place / "bin" / each).symlink_to(shutil.which(each) or f"/usr/bin/{each}")
        self.path = str(self.place / "bin")

    def dump(self, text: str, whole: bool = True, **how: Any) -> Outcome:
        (self.place / "dumps").mkdir()
        (self.place / "dumps" / "shop.sql").write_text(HEAD + text + (END if whole else ""))
        return self.run("dump", "dumps", **how)


def digest(folder: Path) -> str:
    """Of all that lies in a folder: kinds, rights and content."""
    found = hashlib.sha256()
    for path in sorted((folder, *folder.rglob("*"))):
        about = path.lstat()
        found.update(f"{path} {about.st_mode} {about.st_uid} {about.st_mtime_ns}".encode())
        if stat.S_ISLNK(about.st_mode):
            found.update(os.readlink(path).encode())
        elif stat.S_ISREG(about.st_mode):
            found.update(path.read_bytes())
    return found.hexdigest()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As an ordinary user; as root too what root is attacked by otherwise, and all of it with PRODCHECK_SOAK=1."""
    if "trap" in metafunc.fixturenames:
        both = metafunc.function.__name__ in ALSO_AS_ROOT or os.environ.get("PRODCHECK_SOAK") == "1"
        users = USERS if both else USERS[-1:]
        metafunc.parametrize("trap", users, indirect=True, ids=[each or "self" for each in users])


ALSO_AS_ROOT = (
    "test_a_role_of_the_application", "test_a_backup_that_is_a_link", "test_links_and_pipes_in_a_base_backup",
    "test_settings_in_a_base_backup_are_not_read", "test_what_a_superuser_left_in_the_database",
    "test_what_cannot_be_shut_in_is_not_restored", "test_what_other_users_get_of_a_restore",
)  # fmt: skip


@pytest.fixture
def trap(request: pytest.FixtureRequest, cluster: Cluster, running: Stores) -> Iterator[Trap]:
    with trapped(request.param, cluster, running.known.postgres) as found:
        yield found


@contextlib.contextmanager
def trapped(user: str, cluster: Cluster, password: str) -> Iterator[Trap]:
    """A project of a user, ourselves where it is "". password: file, or text, of the role that looks at the cluster."""
    place = Path(tempfile.mkdtemp(prefix="pc-", dir="/tmp"))
    place.chmod(0o755)
    for name, mode in (("loot", 0o1777), ("scratch", 0o755)):
        (place / name).mkdir()
        (place / name).chmod(mode)
    secret = place / "secret"
    secret.write_text(CANARY)
    if user:
        found = pwd.getpwnam(user)
        for each in (place, place / "scratch", secret):
            os.chown(each, found.pw_uid, found.pw_gid)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Trap(place, user, cluster, password, listener)
    shutil.rmtree(place)


SWALLOWED = """
create function app.f() returns boolean language plpgsql as $$
begin
  begin
    execute $q$copy app.log from program 'id > LOOT/owned'$q$;
  exception when others then null;
  end;
  begin
    execute $q$copy app.log from 'PLACE/secret'$q$;
    raise exception 'it was read';
  exception when insufficient_privilege or undefined_file or invalid_parameter_value then null;
  end;
  return true;
end $$;
create table app.log (t text);
create table app.t (i int, check (app.f()));
insert into app.t values (1)"""
