"""The W3C trace context of a run: its ids follow from the run's, so requests can name them before the trace is made."""

from __future__ import annotations

from hashlib import sha256


def ids_of_run(run: str) -> tuple[int, int]:
    """Trace id (128 bits) and span id (64 bits) of a run, neither of them 0."""
    digest = sha256(f"prodcheck:{run}".encode()).digest()
    return int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:24]) or 1


def traceparent(run: str) -> str:
    """The header by which a service's spans become children of the run's."""
    trace_id, span_id = ids_of_run(run)
    return f"00-{trace_id:032x}-{span_id:016x}-01"


def ids_in(header: str) -> tuple[int, int] | None:
    """Trace and span id of a `traceparent` or `traceresponse`, None for anything else."""
    parts = header.strip().split("-")
    if len(parts) < 4 or [len(each) for each in parts[:4]] != [2, 32, 16, 2] or parts[0] == "ff":
        return None
    try:
        trace_id, span_id = int(parts[1], 16), int(parts[2], 16)
    except ValueError:
        return None
    return (trace_id, span_id) if trace_id and span_id else None
