"""Several things at the same time, with an end: what is not done by then is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def side_by_side(jobs: Sequence[Callable[[], T]], seconds: float) -> list[T | None]:
    """What each job returns, in order; None for one that is not done after `seconds`.

    Daemon threads: one that hangs in a library keeps nobody waiting, not even the end of the process. What a job raises
    is raised here.
    """
    end = time.monotonic() + seconds
    results: list[T | None] = [None] * len(jobs)
    raised: list[BaseException] = []

    def run(number: int, job: Callable[[], T]) -> None:
        try:
            results[number] = job()
        except BaseException as error:  # handed to the caller's thread
            raised.append(error)

    threads = [
        threading.Thread(target=run, args=(number, job), name="prodcheck-side", daemon=True)
        for number, job in enumerate(jobs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0.0))
    if raised:
        raise raised[0]
    return list(results)  # a copy: one that comes too late changes nothing any more


def start_job(job: Callable[[], T]) -> Callable[[], T]:
    """Begins a job in a daemon thread; what is returned waits for it, and returns or raises what the job does."""
    results: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            results.append(job())
        except BaseException as error:  # handed to whoever waits
            raised.append(error)

    thread = threading.Thread(target=run, name="prodcheck-begun", daemon=True)
    thread.start()

    def wait() -> T:
        thread.join()
        if raised:
            raise raised[0]
        return results[0]

    return wait
