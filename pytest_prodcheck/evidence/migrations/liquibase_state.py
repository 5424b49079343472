"""What Liquibase notes as applied (`databasechangelog`) against the change sets that are shipped."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from pytest_prodcheck.evidence.migrations.liquibase import ChangeSet, key, matches
from pytest_prodcheck.evidence.migrations.model import Row, Scripts, State

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.database import Migrations as Settings

CONTEXTS = "set migrations.liquibase.contexts as in the release, [] for none"
LABELS = 'set migrations.liquibase.label_filter as in the release, "" for none'
CHECKSUMS = ("Liquibase alone computes their checksums: let `liquibase update-sql --url "
             "'offline:postgresql?changeLogFile=checksums.csv'` write them, and name the file in "
             "migrations.liquibase.checksums")  # fmt: skip


def compared(rows: Sequence[Row], scripts: Scripts, settings: Settings) -> State:
    """Rows in the order in which they were applied; names are the same in any case.

    Rows of change sets that were cut off an old changelog lie before what is shipped, and are no fault: Liquibase's
    documentation has it so. Those that are newer than all that is shipped are of a newer revision.
    """
    sets = {version.lower(): each for version, each in scripts.items() if isinstance(each, ChangeSet)}
    noted = {key(str(file), str(identity), str(author)): (sums, how) for file, identity, author, sums, how in rows}
    applied = {version.lower() for version in noted}
    first = [at for at, (version, (_, how)) in enumerate(noted.items()) if version.lower() in sets and how != "RERAN"]
    newest = max(first, default=-1)
    state = State(
        applied=list(noted), applied_heads=list(noted)[-1:],
        shipped_heads=[each.version for each in sets.values()][-1:],
        failed=[], skipped=[], changed=[], pending=[],
        unknown=[version for at, version in enumerate(noted) if version.lower() not in sets and at > newest
                 and not any(fnmatch(version.partition("::")[0], each) for each in settings.liquibase.others)],
    )  # fmt: skip
    for version, each in sets.items():
        if version not in applied:
            _not_applied(each, settings, state)
    unsure = []
    for version, (noted_sum, _) in noted.items():
        script = sets.get(version.lower())
        if (
            script is None
            or not noted_sum
            or script.always
            or noted_sum in script.valid
            or _accepts_any_checksum(script)
        ):
            continue
        if not script.checksum or script.checksum.partition(":")[0] != noted_sum.partition(":")[0]:
            unsure.append(script.version)
        elif script.checksum != noted_sum:
            (state.pending if script.repeatable else state.changed).append(script.version)
    if unsure:
        state.unverified.append(f"{len(unsure)} change sets such as {unsure[0]}: {CHECKSUMS}")
    return state


def _accepts_any_checksum(script: ChangeSet) -> bool:
    return any(each.lower() in ("any", "1:any", "8:any", "9:any") for each in script.valid)


def _not_applied(each: ChangeSet, settings: Settings, state: State) -> None:
    """Puts one that is not noted where it belongs: it is to come, does not concern this database, or cannot be told."""
    ours = settings.liquibase
    if each.foreign:
        return
    if each.filters and ours.contexts is None:
        state.untold.append(f"{each.version} has contexts: {CONTEXTS}")
    elif not all(matches(expression, ours.contexts or ()) for expression in each.filters):
        return
    elif each.tags and ours.label_filter is None:
        state.untold.append(f"{each.version} has labels: {LABELS}")
    elif each.tags and not matches(ours.label_filter or "", each.tags):
        return
    elif each.goes_on:
        how = "only onFail and onError = MARK_RAN leave a record that shows whether it must still run"
        state.untold.append(f"{each.version} is skipped without a record if its preconditions fail: {how}")
    else:
        state.pending.append(each.version)
