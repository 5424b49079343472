"""How both suites judge WAL that is streamed to its archive, where the server itself archives none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import Archiving

SEGMENTS = 16  # WAL files that a receiver may be behind
STREAMED = {"streamed WAL without confirmation, in WAL files": Limit(fail=SEGMENTS)}


def judge_streaming(archiving: Archiving, heard: Limit) -> None:
    """The declared receiver is connected, was heard, and is close; heard: seconds since its last message."""
    name = archiving.receiver
    found = [each for each in archiving.receivers if name in (each.slot, each.name)]
    there = ", ".join(each.slot or each.name for each in archiving.receivers) or "nobody"
    why = f"{archiving.why_not.partition(';')[0]}, and the receiver {name} is not connected (connected: {there})"
    judge("WAL is streamed to its archive", bool(found), of=archiving.node, reason=why)
    for each in found:
        judge("receiver streams", each.state or None, one_of=("streaming", "catchup"), of=name,
              reason=f"it is {each.state}" if each.state else ("prodcheck may not read it: grant "
                  "pg_monitor to its role"))  # fmt: skip
        judge("last message of the receiver", each.heard, at_most=heard, unit="s", of=name, reason="its last message")
        most = SEGMENTS * archiving.segment_size
        judge("WAL not confirmed by the receiver", each.behind, at_most=most, unit="B", of=name)
