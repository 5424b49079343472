"""What is declared of a cluster's backups and content: what goes together, and what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environments.support import BASE, load_text, mistakes

SHOP = '[environments.dev.postgres.shop]\nnodes = ["db:5432"]\n'
BACKUPS = SHOP + "[environments.dev.postgres.shop.backups]\n"
BASE_BACKUPS = BACKUPS + 'kind = "basebackup"\nfolder = "b"\narchive = "a"\n'
DUMPS = BACKUPS + 'kind = "dump"\nfolder = "d"\n'
RESTORE = "[environments.dev.postgres.shop.backups.restore]\n"
REFUSED = {
    "content without a standby": (SHOP + 'content = { tables = ["t"] }\n', "content is compared with standbys"),
    "a key of another kind": (DUMPS + 'stanza = "s"\n', ("backups.stanza: is allowed with kind "
        "pgbackrest only, not with dump")),
    "base backups without an archive": (BACKUPS + 'kind = "basebackup"\nfolder = "b"\n', "needs `archive`"),
    "pgBackRest without a stanza": (BACKUPS + 'kind = "pgbackrest"\n', "kind pgbackrest needs `stanza`"),
    "Barman without a server": (BACKUPS + 'kind = "barman"\n', "kind barman needs `server`"),
    "dumps from nowhere": (BACKUPS + 'kind = "dump"\n', "kind dump needs `folder` or `listing`"),
    "base backups far away": (BASE_BACKUPS.replace('"b"', '"s3://b/c"'), "base backups are read from a folder"),
    "dumps restored from far away": (DUMPS.replace('"d"', '"s3://b/c"') + RESTORE, "restored from a `folder`"),
    "a dump up to a time": (DUMPS + RESTORE + 'target = { time = "2026-11-24 06:00:00+00" }\n', "no write-ahead log"),
    "some rows of a dump": (DUMPS + RESTORE + 'record = "r"\nsample = "5%"\n', "sample: a restored dump stores rows"),
    "two targets": (BASE_BACKUPS + RESTORE + 'target = { lsn = "0/1", name = "n" }\n', "at most one of `time`"),
    "some rows of nothing": (BASE_BACKUPS + RESTORE + 'sample = "5%"\n', "without a `record`, nothing is compared"),
    "no rows": (BASE_BACKUPS + RESTORE + 'sample = "0%"\n', "restore.sample"),
    "more than all": (BASE_BACKUPS + RESTORE + 'sample = "101%"\n', "restore.sample"),
    "a number of rows": (BASE_BACKUPS + RESTORE + "sample = 5000\n", "restore.sample"),
    "a share of time": (BASE_BACKUPS + RESTORE + 'sample = "5s"\n', 'expected a share such as "5%"'),
    "a port of its own": (BASE_BACKUPS + RESTORE + 'settings = { port = "5432" }\n', "separates the scratch server"),
    "a command for a folder": (BASE_BACKUPS + RESTORE + 'command = ["x", "{folder}"]\n', "barman only, not with base"),
    "a command to nowhere": (BACKUPS + 'kind = "barman"\nserver = "s"\n' + RESTORE + 'command = ["x"]\n',
                             "does not receive the folder"),
    "a store for nothing": (BASE_BACKUPS + 's3 = { region = "r" }\n', "s3: no value begins with s3://"),
    "a store without a scheme": (DUMPS.replace('"d"', '"s3://b/c"') + 's3 = { endpoint = "minio:9000" }\n',
                                 "s3.endpoint: expected an address"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused(case: str, tmp_path: Path) -> None:
    text, expected = REFUSED[case]
    found = mistakes(tmp_path, BASE + text)
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(("written", "share"), [("", 1.0), ('sample = "5%"\n', 0.05), ("sample = 0.5\n", 0.5)])
def test_how_much_of_a_table_is_compared(written: str, share: float, tmp_path: Path) -> None:
    text = BASE + BASE_BACKUPS + RESTORE + 'record = "r"\n' + written
    shop = load_text(tmp_path, text).environment("dev").postgres["shop"]
    assert shop.backups is not None
    assert shop.backups.restore is not None
    assert shop.backups.restore.sample == share
