"""Run a blocking call in a thread and yield its progress meanwhile, so that a decoder can report
and be cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

T = TypeVar("T")
Report = Callable[[int, int], None]


class _CancelledError(RuntimeError):
    """Raised inside the call when nobody listens any more."""


def with_progress(call: Callable[[Report], T]) -> Generator[tuple[int, int], None, T]:
    """Yield (step, total) as `call` reports them; the generator's return value is the call's.

    An error of the call is raised here. Closing the generator stops the call at its next report.
    """
    reports: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
    closed = Event()

    def report(step: int, total: int) -> None:
        if closed.is_set():
            raise _CancelledError
        reports.put((step, total))

    def wake(_: Future[T]) -> None:
        reports.put(None)

    with ThreadPoolExecutor(max_workers=1) as executor:
        future = executor.submit(call, report)
        future.add_done_callback(wake)
        try:
            while (item := reports.get()) is not None:
                yield item
        finally:
            closed.set()
        return future.result()
