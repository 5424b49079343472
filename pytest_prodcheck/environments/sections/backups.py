"""How a PostgreSQL cluster is backed up, and how a backup is tried out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pytest_prodcheck.environments.sections.base import Ratio, Seconds, SecretRef, Section

Words = Annotated[tuple[str, ...], Field(min_length=1)]


class Command(Section):
    """A program that is run here, without a shell, in the folder of prodcheck.toml."""

    command: Words  # program and arguments; what it prints is read


class BackupExpect(Section):
    """How often backups are made and how many are kept: late by half warns, twice as old fails."""

    any: Seconds | None = None  # at most between two backups of any kind; older than that warns, than twice that fails
    full: Seconds | None = None  # at most between two full backups; older than that warns, than twice that fails
    retained: Annotated[int, Field(ge=1, le=100_000)] | None = None  # full backups that must be there at least


class ObjectStore(Section):
    """An S3-compatible store, for locations that begin with `s3://`; needs `pytest-prodcheck[s3]`."""

    # address of the store, such as "https://s3.eu-central-1.amazonaws.com"; buckets are asked for by path
    endpoint: str = "https://s3.amazonaws.com"
    region: str = "us-east-1"  # region that requests are signed for
    # where the access key id lies; it needs to list the bucket and to read the record, nothing else
    access_key: SecretRef = SecretRef(env="AWS_ACCESS_KEY_ID")
    secret_key: SecretRef = SecretRef(env="AWS_SECRET_ACCESS_KEY")  # where the secret access key lies
    ca: str | None = None  # file with the CA certificates to trust (PEM); the system's where left out


class RestoreTarget(Section):
    """Up to where write-ahead log is replayed; at most one of the keys."""

    time: str | None = None  # point in time with its zone, such as "2026-11-24 06:00:00+00"
    lsn: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$")] | None = None  # position, as "0/3000060"
    name: str | None = None  # name of a restore point that pg_create_restore_point() made

    def model_post_init(self, _context: Any) -> None:
        """Refuses several at once."""
        if sum(each is not None for each in (self.time, self.lsn, self.name)) > 1:
            raise ValueError("expected at most one of `time`, `lsn` and `name`")


class Restore(Section):
    """A restore that is tried out on this machine (opt-in where protected): into a scratch server that goes again."""

    # folder in which the scratch server is made, relative to prodcheck.toml; it needs room for the whole database;
    # the system's folder for temporary files where left out
    folder: str | None = None
    backup: str = "newest"  # "newest", or the label of a backup
    target: RestoreTarget = RestoreTarget()  # where left out: where the record was taken, or the end of the archive
    # file that `prodcheck record-backup` wrote, with what the source held; `{label}` is the backup's. Where left out
    # nothing is compared and the check says so
    record: str | None = None
    # share of each table whose rows are compared by their content, such as "5%", at random; all rows are counted. It
    # has to be declared where `prodcheck record-backup` runs too: a record without parts is compared whole
    sample: Ratio = 1.0
    # pgbackrest, barman: program and arguments that fill an empty folder from a backup, where the tool's own way does
    # not do; `{folder}` and `{label}` are filled in
    command: Words | None = None
    # further settings of the scratch server, such as { shared_preload_libraries = "timescaledb" }
    settings: dict[str, str] = {}
    timeout: Seconds = 3600.0  # for the whole; a restore is made alone, so this comes on top of `gathering.deadline`
    user: str = "postgres"  # a superuser of the cluster, as whom the scratch server is asked
    # what amcheck reads: "all" databases, or only the one that is compared ("database")
    check: Literal["all", "database"] = "all"
    # amcheck looks every row up in its indexes too, which takes twice as long as all the rest; without it tables are
    # read whole, and indexes checked for their order and links
    heapallindexed: bool = False
    # what a backup holds may run code: it is restored shut in (by bubblewrap, else by unshare), and pgBackRest and
    # Barman can write nowhere else. true: where that cannot be had it is restored with the rights of this user, and
    # the check warns
    unconfined: bool = False
    as_superuser: bool = False  # dump: load it as a superuser, where it holds what only one may make; shut in as ever
    links: tuple[str, ...] = ()  # basebackup: further folders that the links of its tablespaces may lead into
    database: str | None = None  # database that is compared and counted; that of the cluster's section where left out


class Backups(Section):
    """Where the backups of a cluster lie and what is expected of them."""

    # "basebackup": a folder with base backups (pg_basebackup, plain format) and one with archived WAL; "dump": files of
    # pg_dump; or the tool that makes them
    kind: Literal["basebackup", "pgbackrest", "barman", "dump"]
    # basebackup: folder with one folder a backup, or the backup itself. dump: folder, or "s3://BUCKET/PREFIX" with `s3`
    folder: str | None = None
    # basebackup: folder with the archived WAL; plain files, or packed by gzip, bzip2, xz, zstd or lz4 under any name
    archive: str | None = None
    # basebackup: program and arguments that write a file of the archive as it was to standard output, for WAL that is
    # encrypted or packed otherwise; {file} stands for the file, such as ["gpg", "--batch", "--decrypt", "{file}"]
    unpack: Words | None = None
    pattern: str = "*"  # dump: names that are backups, such as "shop-*.dump"
    # dump: program that lists the objects as JSON: that of `aws s3api list-objects-v2`, `rclone lsjson` or
    # `mc ls --json`; age and size are judged, the content only where a `folder` is declared too
    listing: Command | None = None
    s3: ObjectStore = ObjectStore()  # how the store behind `s3://` is asked
    stanza: str | None = None  # pgbackrest: name of the stanza
    server: str | None = None  # barman: name of the server
    # pgbackrest, barman: how the program is run, such as ["ssh", "backup-1", "barman"]; by its own name where left out
    tool: Words | None = None
    # pgbackrest: how `info --output=json` is run, with all its words; what stands before `info` is taken as `tool` too
    info: Command | None = None
    # slot or application name of who streams WAL to the archive (pg_receivewal), where archive_mode is off; Barman is
    # asked for it
    receiver: str | None = None
    verify_timeout: Seconds = 600.0  # for reading a whole backup; `gathering.deadline` bounds it too
    expect: BackupExpect = BackupExpect()  # how often, how many
    # file or "s3://BUCKET/KEY" with what the last restore test found: the restore check writes the file
    restore_record: str | None = None
    restore: Restore | None = None  # a restore that is tried out, where the section is there
    programs: str | None = None  # folder with PostgreSQL's programs of the same major version; found where left out

    @property
    def tool_words(self) -> tuple[str, ...]:
        """How pgBackRest or Barman is run, without what it is to do."""
        if self.tool is None and self.info is not None and "info" in self.info.command:
            return self.info.command[: self.info.command.index("info")]
        return self.tool or (self.kind,)

    @property
    def has_wal(self) -> bool:
        """Whether write-ahead log belongs to the backups."""
        return self.kind != "dump"

    @property
    def is_readable(self) -> bool:
        """Whether the backups' bytes can be read from here, and not only listed."""
        return self.kind != "dump" or (self.folder is not None and not self.folder.startswith("s3://"))


class Content(Section):
    """Tables whose content is compared on the primary and its standbys, chunk by chunk."""

    tables: Annotated[tuple[str, ...], Field(min_length=1)]  # "schema.table" or "table" in public; partitions follow
    workers: Annotated[int, Field(ge=1, le=64)] = 2  # sessions at once on each node
    chunk: Annotated[int, Field(ge=1, le=1_000_000)] = 4096  # pages (8 kB) of a chunk
    budget: Seconds = 60.0  # for all tables; what is not compared by then makes the check errored
    # how long chunks that an interrupted comparison found equal count; the evidence is as old as the oldest of them
    resume: Seconds = 600.0
