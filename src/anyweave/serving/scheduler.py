"""A bounded queue that serves clients in turn, and work that can be stopped."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

import anyio

from anyweave.serving.errors import ApiError

T = TypeVar("T")
_END = object()


class Scheduler:
    """At most `running` pieces of work at a time, each in a thread.

    The others wait, at most `waiting` of them and `each` per client; clients take turns, so one
    with many requests delays nobody else by more than one. Use it from one event loop.
    """

    def __init__(
        self, *, running: int, waiting: int, each: int, patience: float, timeout: float
    ) -> None:
        self._limit, self._max_waiting, self._each = running, waiting, each
        self._patience, self._timeout = patience, timeout
        self._executor = ThreadPoolExecutor(running, thread_name_prefix="anyweave-reply")
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._runs: set[_Run] = set()
        self._seconds = 1.0  # a rough average per piece of work
        self.running = 0
        self.draining = False

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return sum(map(len, self._queues.values()))

    async def work(
        self, client: str, make: Callable[[], Generator[T, None, None]], *, patient: bool = False
    ) -> AsyncGenerator[T, None]:
        """Wait for a turn, then yield what `make()` yields in a thread. Closing this generator
        stops the work at its next event and waits until nothing runs any more.

        Raises `ApiError`: 429 if too many wait, 503 while the server stops or after too long a
        wait, 504 if the work takes too long. A `patient` caller waits as long as it takes, however
        many wait.
        """
        await self._turn(client, patient)
        run = _Run(make, asyncio.get_running_loop(), self._ended)
        self._runs.add(run)
        run.start(self._executor)
        deadline = time.monotonic() + self._timeout
        try:
            while True:
                try:
                    async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                        item = await run.events.get()
                except TimeoutError:
                    raise ApiError(
                        504,
                        f"the reply took more than {self._timeout:g} seconds and was stopped",
                        code="timeout",
                    ) from None
                if item is _END:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            run.cancelled.set()
            # Whoever cancels this must wait too: the thread still works on its conversation.
            with anyio.CancelScope(shield=True):
                await run.over.wait()

    async def drain(self, grace: float) -> None:
        """Accept nothing new, give accepted work `grace` seconds to end, then fail the rest."""
        self.draining = True
        deadline = time.monotonic() + grace
        while (self.running or self._queues) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        error = _stopping()
        for queue in self._queues.values():
            for future in queue:
                if not future.done():
                    future.set_exception(error)
        self._queues.clear()
        for run in self._runs:
            run.cancelled.set()
            run.events.put_nowait(error)

    def close(self) -> None:
        """End the threads when their work has ended."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _turn(self, client: str, patient: bool) -> None:
        if self.draining:
            raise _stopping()
        if self.running < self._limit and not self._queues:
            self.running += 1
            return
        queue = self._queues.get(client, deque())
        full = self.waiting >= self._max_waiting or len(queue) >= self._each
        if full and not patient:
            seconds = self._seconds * (self.waiting + 1) / self._limit
            raise ApiError(
                429,
                "too many requests wait for this server; try again later",
                code="queue_full",
                retry_after=seconds,
            )
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(client, queue).append(future)
        try:
            async with asyncio.timeout(None if patient else self._patience):
                await future
        except BaseException as error:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._free()  # its turn came just as it gave up
            else:
                self._leave(client, future)
            if isinstance(error, TimeoutError):
                raise ApiError(
                    503,
                    f"waited {self._patience:g} seconds for a turn; try again later",
                    code="queue_timeout",
                    retry_after=self._seconds,
                ) from None
            raise

    def _leave(self, client: str, future: asyncio.Future[None]) -> None:
        queue = self._queues.get(client)
        if queue is not None and future in queue:
            queue.remove(future)
            if not queue:
                del self._queues[client]

    def _free(self) -> None:
        """A place is free: the client that has waited longest for its turn gets it."""
        self.running -= 1
        while self._queues and self.running < self._limit:
            client, queue = next(iter(self._queues.items()))
            future = queue.popleft()
            del self._queues[client]
            if queue:
                self._queues[client] = queue  # behind the others
            if not future.done():
                self.running += 1
                future.set_result(None)

    def _ended(self, run: _Run) -> None:
        self._seconds += 0.2 * (run.seconds - self._seconds)
        self._runs.discard(run)
        run.over.set()
        self._free()


class _Run:
    """A generator that runs in a thread, and what it has yielded."""

    def __init__(
        self,
        make: Callable[[], Generator[Any, None, None]],
        loop: asyncio.AbstractEventLoop,
        ended: Callable[[_Run], None],
    ) -> None:
        self._make, self._loop, self._ended = make, loop, ended
        self.cancelled = threading.Event()
        self.over = asyncio.Event()  # its thread has ended
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.seconds = 0.0

    def start(self, executor: ThreadPoolExecutor) -> None:
        """Begin in a thread."""
        executor.submit(self._go).add_done_callback(self._finish)

    def _go(self) -> None:
        started = time.monotonic()
        with closing(self._make()) as events:
            while not self.cancelled.is_set():
                item = next(events, _END)
                if item is _END:
                    break
                self._say(item)
        self.seconds = time.monotonic() - started

    def _finish(self, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        self._say(_END if error is None else error)
        self._loop.call_soon_threadsafe(self._ended, self)

    def _say(self, item: Any) -> None:
        self._loop.call_soon_threadsafe(self.events.put_nowait, item)


def _stopping() -> ApiError:
    return ApiError(503, "the server is stopping; ask again", code="stopping", retry_after=5)
