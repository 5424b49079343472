"""How both suites judge WAL that is streamed to its archive, where the server itself archives none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import Archiving

SEGMENTS = 16  # WAL files that a receiver may be behind
STREAMED = {"streamed WAL that is not confirmed, in files": Limit(fail=SEGMENTS)}


def judge_streaming(archiving: Archiving, heard: Limit) -> None:
    """The declared receiver is connected, was heard, and is close; heard: seconds since its last word."""
    name = archiving.receiver
    found = [each for each in archiving.receivers if name in (each.slot, each.name)]
    there = ", ".join(each.slot or each.name for each in archiving.receivers) or "nobody"
    why = f"archive_mode is {archiving.mode}, and {name} is not connected ({there} is)"
    judge("WAL is streamed to its archive", bool(found), of=archiving.node, reason=why)
    for each in found:
        judge("receiver streams", each.state or None, one_of=("streaming", "catchup"), of=name,
              reason=f"it is {each.state}" if each.state else "it may not be read: grant pg_monitor")  # fmt: skip
        judge("receiver was heard", each.heard, at_most=heard, unit="s", of=name, reason="its last word")
        most = SEGMENTS * archiving.segment_size
        judge("WAL that it has not confirmed", each.behind, at_most=most, unit="B", of=name)
