"""The thread that owns a model and does the work of many conversations, step by step.

A task is what one thread waits for: a call, a row (a conversation that generates text) or a making
(media). A row's token loop and a decoder's sampling loop are generators, so the worker alternates
between them: it feeds every row in one forward, takes one step of a decoder, and admits or removes
tasks.
"""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from anyweave.decoders.sampling import Step
from anyweave.generation.denoising import Denoising, merged
from anyweave.generation.engine import TokenEngine, Wanted
from anyweave.generation.options import GenerationOptions
from anyweave.language import CausalLM
from anyweave.language.packing import PackedRows, pack_rows

logger = logging.getLogger(__name__)

K = TypeVar("K", bound="Task")
PROMPT_TOKENS = 256
"""Prompt tokens read per step, oldest prompt first: long prompts are read in pieces while the other
rows keep generating.
"""


class Task:
    """Something that a thread waits for, and its output so far."""

    def __init__(self) -> None:
        self.cancelled = False
        self.over = threading.Event()  # the worker is done with it
        self._said: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def say(self, item: Any) -> None:
        self._said.put(("item", item))

    def end(self, result: Any = None) -> None:
        self._said.put(("result", result))
        self.over.set()

    def fail(self, error: BaseException) -> None:
        self._said.put(("error", error))
        self.over.set()

    def attempt(self, work: Callable[[], None]) -> None:
        """Run `work`; an error fails only this task, and is raised in the thread waiting for it."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised in the thread that waits for it
            self.fail(error)

    def follow(self) -> Generator[Any, None, Any]:
        """Yield items as they come; returns the result or raises the error."""
        while True:
            kind, value = self._said.get()
            if kind == "error":
                raise value
            if kind == "result":
                return value
            yield value


class Call(Task):
    """Work that cannot be batched: an encoder, a projector."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self._work = work

    def run(self) -> None:
        self.end(self._work())


class Row(Task):
    """A conversation that generates text. `wanted` is what its token loop must consume next."""

    def __init__(self, engine: TokenEngine, options: GenerationOptions, prompt: Tensor) -> None:
        super().__init__()
        self.engine = engine
        self.wanted: Tensor | None = None
        self.share = 0  # how much of `wanted` is consumed in this step
        self._reading = True  # the prompt comes first
        self._steps = engine.steps(options, prompt)

    def speak(self) -> None:
        """Continue until something must be consumed, or to the end."""
        if self.wanted is not None:  # a long prompt is being read
            return
        for event in self._steps:
            if isinstance(event, Wanted):
                self.wanted = event.embeds
                return
            self.say(event)
        self.end()

    def take(self, room: int) -> int:
        """Choose how much to consume in this step, at most `room` of a prompt. Returns the room
        left for other prompts.
        """
        assert self.wanted is not None
        self.share = self.wanted.shape[1]
        if self._reading:
            self.share = min(self.share, room)
            room -= self.share
        return room

    @property
    def piece(self) -> Tensor:
        assert self.wanted is not None
        return self.wanted[:, : self.share]

    def feed(self) -> None:
        """Consume the next piece, unbatched."""
        self.engine.feed(self.piece)
        self._consumed()

    def fed(self, hidden: Tensor, logits: Tensor) -> None:
        """Record that the next piece was consumed in a batch."""
        self.engine.fed(hidden, logits)
        self._consumed()

    def _consumed(self) -> None:
        assert self.wanted is not None
        rest = self.wanted[:, self.share :]
        self.wanted = rest if rest.shape[1] else None
        self._reading = self._reading and self.wanted is not None


class Making(Task):
    """Media that one conversation waits for."""

    def __init__(self, work: Denoising) -> None:
        super().__init__()
        self.work = work


class _Decoding:
    """Makings merged into one job."""

    def __init__(self, makings: list[Making]) -> None:
        self.makings = makings
        self._steps = merged([making.work for making in makings]).steps()

    def step(self) -> bool:
        """Take one step; False once finished, or if nobody waits any more. Makings that fail
        together are retried one by one, so that only the culprit fails.
        """
        waiting = [making for making in self.makings if not making.over.is_set()]
        if not waiting:
            self._steps.close()
            return False
        try:
            progress = Step(*next(self._steps))
        except StopIteration as stop:
            media = iter(stop.value)
            for making in self.makings:
                making.end([next(media) for _ in making.work.seeds])
        except BaseException as error:  # noqa: BLE001  raised in the threads that wait for it
            for making in waiting:
                if len(self.makings) == 1:
                    making.fail(error)
                else:
                    making.work = replace(making.work, alone=True)
        else:
            row = 0
            for making in self.makings:
                mine = slice(row, row := row + len(making.work.seeds))
                shown = progress.previews if making.work.previews else None
                if making in waiting:
                    making.say(progress._replace(previews=shown and shown[mine]))
            return True
        return False


class Worker:
    """The thread that owns the model."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._threads = torch.get_num_threads()
        self._changed = threading.Condition()
        self._closed = False
        self._new: list[Task] = []
        self._tasks: list[Task] = []  # in order of arrival
        self._decoding: _Decoding | None = None
        self._packed: weakref.WeakKeyDictionary[CausalLM, PackedRows | None] = (
            weakref.WeakKeyDictionary()
        )
        self._thread = threading.Thread(target=self._run, name="anyweave-replies", daemon=True)
        self._thread.start()

    # --- from any thread

    def do(self, task: Task) -> Generator[Any, None, Any]:
        """Hand `task` to the worker and follow it. Closing the generator cancels the task, and
        returns once the worker has released it.
        """
        with self._changed:
            if self._closed:
                raise ValueError("this conversation is over: its ReplyBatcher was closed")
            self._new.append(task)
            self._changed.notify()
        try:
            return (yield from task.follow())
        finally:
            task.cancelled = True
            # Python may garbage-collect an abandoned generator in any thread, even the worker's.
            if threading.current_thread() is not self._thread:
                task.over.wait()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    # --- in the worker

    def _run(self) -> None:
        torch.set_num_threads(self._threads)  # a new thread would take all cores
        try:
            while self._take_in():
                self._run_calls(self._of(Call))
                self._step_rows(self._of(Row)[: self._max_rows])
                self._step_decoder(self._of(Making))
        finally:
            with self._changed:
                self._closed = True
                self._tasks += self._new
            for task in self._tasks:
                task.fail(ValueError("this reply is not complete: its ReplyBatcher was closed"))

    def _take_in(self) -> bool:
        """Wait for work, add new tasks and remove finished ones; False once closed."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._new or self._tasks or self._decoding
            )
            self._tasks += self._new
            self._new = []
        for task in self._tasks:
            if task.cancelled:
                task.end()
        self._tasks = [task for task in self._tasks if not task.over.is_set()]
        return not self._closed

    def _of(self, kind: type[K]) -> list[K]:
        return [task for task in self._tasks if isinstance(task, kind) and not task.over.is_set()]

    def _run_calls(self, calls: list[Call]) -> None:
        for call in calls:
            call.attempt(call.run)

    def _step_rows(self, rows: list[Row]) -> None:
        """Advance each row, then feed what they want: batched where possible."""
        together: dict[PackedRows | None, list[Row]] = {}
        room = PROMPT_TOKENS
        for row in rows:
            row.attempt(row.speak)
            if row.over.is_set():
                continue
            room = row.take(room)
            if row.share:
                packed = self._pack(row.engine) if len(rows) > 1 else None
                together.setdefault(packed, []).append(row)
        for packed, group in together.items():
            if packed is None or len(group) == 1 or not _feed_together(packed, group):
                for row in group:
                    if not row.over.is_set():
                        row.attempt(row.feed)

    def _pack(self, engine: TokenEngine) -> PackedRows | None:
        if not engine.caches:
            return None
        if engine.language not in self._packed:
            packed = self._packed[engine.language] = pack_rows(engine.language)
            if packed is None:
                logger.warning(
                    "%s cannot take several conversations in one forward: they are answered right, "
                    "but in turns",
                    type(engine.language.model).__name__,
                )
        return self._packed[engine.language]

    def _step_decoder(self, makings: list[Making]) -> None:
        if self._decoding is None and makings:
            first, *others = makings
            group, media = [first], len(first.work.seeds)
            for making in others:
                media += len(making.work.seeds)
                if media <= self._max_rows and first.work.fits(making.work):
                    group.append(making)
            self._decoding = _Decoding(group)
        if self._decoding is not None and not self._decoding.step():
            self._decoding = None


@torch.inference_mode()
def _feed_together(packed: PackedRows, rows: list[Row]) -> bool:
    """One forward for all `rows`. False if it failed: nothing was consumed, and rows that can be
    retried alone are not marked as failed.
    """
    engines = [row.engine for row in rows]
    pieces = [row.piece for row in rows]
    try:
        hidden = packed.feed(pieces, [e.open_cache() for e in engines], [e.length for e in engines])
        last_RD = torch.stack([states[-1] for states in hidden])
        logits_RV = engines[0].language.logits(last_RD).float().cpu()
    except Exception as error:  # noqa: BLE001  raised if it recurs, or if a row cannot be undone
        logger.warning(
            "%d conversations failed together and are tried one by one: %s", len(rows), error
        )
        for row in rows:
            if not row.engine.take_back():
                row.fail(error)
        return False
    for row, states, logits_V in zip(rows, hidden, logits_RV, strict=True):
        row.fed(states, logits_V)
    return True
