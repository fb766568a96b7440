"""Turns, bounds, stopping: the scheduler alone, with work that waits for the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

pytest.importorskip("fastapi")

from anyweave.serving.errors import ApiError
from anyweave.serving.scheduler import Scheduler


def scheduler(**changes: Any) -> Scheduler:
    usual = {"running": 1, "waiting": 8, "each": 8, "patience": 5.0, "timeout": 5.0}
    return Scheduler(**{**usual, **changes})


class Work:
    """Says its name, waits until it may go on, and remembers how it ended."""

    def __init__(self, name: str = "x") -> None:
        self.name = name
        self.go = threading.Event()
        self.ended = threading.Event()

    def make(self) -> Generator[str, None, None]:
        try:
            yield self.name
            while not self.go.wait(0.01):
                yield "waiting"
            yield "done"
        finally:
            self.ended.set()


async def run(of: Scheduler, client: str, work: Work, said: list[str] | None = None) -> list[str]:
    found = []
    async for item in of.work(client, work.make):
        if item != "waiting":
            found.append(item)
            if said is not None:
                said.append(item)
    return found


def test(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(check(), 20))


test.__test__ = False  # type: ignore[attr-defined]


def test_clients_take_turns() -> None:
    async def check() -> None:
        of, first = scheduler(), Work("first")
        said: list[str] = []
        tasks = [asyncio.create_task(run(of, "a", first, said))]
        await asyncio.sleep(0.02)
        for client, name in (("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1")):
            work = Work(name)
            work.go.set()
            tasks.append(asyncio.create_task(run(of, client, work, said)))
            await asyncio.sleep(0)
        assert (of.running, of.waiting) == (1, 5)
        first.go.set()
        await asyncio.gather(*tasks)
        assert [name for name in said if name != "done"] == ["first", "a1", "b1", "c1", "a2", "a3"]
        assert (of.running, of.waiting) == (0, 0)

    test(check)


@pytest.mark.parametrize("bounds", [{"waiting": 1}, {"each": 1}])
def test_a_full_queue_says_when_to_come_again(bounds: dict[str, int]) -> None:
    async def check() -> None:
        of, works = scheduler(**bounds), [Work(), Work(), Work()]
        tasks = [asyncio.create_task(run(of, "a", work)) for work in works]
        await asyncio.sleep(0.1)
        with pytest.raises(ApiError) as caught:
            await tasks[2]
        assert (caught.value.status, caught.value.code) == (429, "queue_full")
        assert int(caught.value.response().headers["retry-after"]) >= 1
        for work in works:
            work.go.set()
        assert await tasks[0] == await tasks[1] == ["x", "done"]

    test(check)


def test_whoever_stops_listening_stops_the_work_and_frees_its_place() -> None:
    async def check() -> None:
        of, work = scheduler(), Work()
        events = of.work("a", work.make)
        assert await anext(events) == "x"
        await events.aclose()
        assert work.ended.is_set()  # whoever has closed it knows that nothing runs any more
        assert of.running == 0
        after = Work("after")
        after.go.set()
        assert await run(of, "b", after) == ["after", "done"]

    test(check)


def test_whoever_leaves_the_queue_delays_nobody() -> None:
    async def check() -> None:
        of, first, gone, last = scheduler(), Work(), Work("gone"), Work("last")
        tasks = [asyncio.create_task(run(of, "a", work)) for work in (first, gone, last)]
        await asyncio.sleep(0.05)
        tasks[1].cancel()
        await asyncio.sleep(0.05)
        assert of.waiting == 1
        first.go.set()
        last.go.set()
        assert await tasks[2] == ["last", "done"]
        assert not gone.ended.is_set()  # it never began

    test(check)


def test_time_is_bounded_in_the_queue_and_at_work() -> None:
    async def check() -> None:
        of, first = scheduler(patience=0.1, timeout=0.4), Work()
        task = asyncio.create_task(run(of, "a", first))
        await asyncio.sleep(0.05)
        with pytest.raises(ApiError, match="for a turn") as waited:
            await run(of, "b", Work())
        assert (waited.value.status, waited.value.code) == (503, "queue_timeout")
        with pytest.raises(ApiError, match="was stopped") as worked:
            await task
        assert (worked.value.status, worked.value.code) == (504, "timeout")
        assert await asyncio.to_thread(first.ended.wait, 5)

    test(check)


def test_the_patient_wait_as_long_as_it_takes() -> None:
    async def check() -> None:
        of, first, job = scheduler(waiting=0, patience=0.05), Work(), Work("job")
        task = asyncio.create_task(run(of, "a", first))
        await asyncio.sleep(0.02)

        async def patient() -> list[str]:
            return [item async for item in of.work("a", job.make, patient=True)]

        waits = asyncio.create_task(patient())
        await asyncio.sleep(0.2)
        assert of.waiting == 1
        first.go.set()
        job.go.set()
        assert (await waits)[0] == "job"
        await task

    test(check)


def test_an_error_of_the_work_is_raised_where_it_is_read() -> None:
    def make() -> Generator[str, None, None]:
        yield "x"
        raise ValueError("no such thing")

    async def check() -> None:
        of = scheduler()
        for _ in range(2):
            with pytest.raises(ValueError, match="no such thing"):
                async for _ in of.work("a", make):
                    pass

    test(check)


def test_whoever_leaves_waits_for_the_thread() -> None:
    go, over = threading.Event(), threading.Event()

    def make() -> Generator[str, None, None]:
        yield "x"
        go.wait(5)  # no event here at which it could stop
        over.set()
        yield "y"

    async def check() -> None:
        of, left = scheduler(), list[bool]()
        scope = anyio.CancelScope()  # how a web server cancels for a client that has gone

        async def client() -> None:
            with scope:
                async with aclosing(of.work("a", make)) as items:
                    async for _ in items:
                        pass
            left.append(over.is_set())

        task = asyncio.create_task(client())
        await asyncio.sleep(0.05)
        scope.cancel()
        await asyncio.sleep(0.1)
        assert not left and of.running == 1
        go.set()
        await task
        assert left == [True]

    test(check)


def test_stopping_ends_what_can_end_and_fails_the_rest() -> None:
    async def check() -> None:
        of, quick, slow, never = scheduler(running=2), Work("quick"), Work("slow"), Work("never")
        tasks = [asyncio.create_task(run(of, "a", work)) for work in (quick, slow, never)]
        await asyncio.sleep(0.05)
        drained = asyncio.create_task(of.drain(0.4))
        await asyncio.sleep(0.05)
        with pytest.raises(ApiError) as refused:
            await run(of, "b", Work())
        assert (refused.value.status, refused.value.code) == (503, "stopping")
        quick.go.set()
        assert await tasks[0] == ["quick", "done"]
        await drained
        for task in tasks[1:]:
            with pytest.raises(ApiError, match="stopping"):
                await task
        assert await asyncio.to_thread(slow.ended.wait, 5)

    test(check)
