"""Replies of several conversations together: one thread owns the model, and every forward of the
language model serves all conversations that speak just then.

    threads that ask              the worker, between two steps
    chat.send() -- prompt -->     rows: each one sequence, its token loop and its own KV cache
                                  step: what all rows want next is packed into one forward
                <- events --      each row samples from its own logits with its own seed
                -- spans -->      denoising: works of one decoder with equal options are one
                <- progress --    its steps alternate with those of the rows

Rows join and leave between two steps; nothing is padded or copied for that (`language/packing.py`).
"""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from anyweave.decoders.sampling import drain
from anyweave.generation.chat import ChatSession
from anyweave.generation.denoising import Denoising, merged
from anyweave.generation.engine import TokenEngine, Wanted
from anyweave.generation.events import EngineEvent, Event
from anyweave.generation.options import GenerationOptions
from anyweave.language import CausalLM
from anyweave.language.packing import PackedRows, pack_rows
from anyweave.messages import Media, Message
from anyweave.model.any_to_any import NextGPT

logger = logging.getLogger(__name__)

A = TypeVar("A")
T = TypeVar("T")
K = TypeVar("K", bound="_Task")
PROMPT_TOKENS = 256
"""So many tokens of prompts are read in one step, the oldest first: long ones are read in pieces,
and the others go on speaking.
"""


class ReplyBatcher:
    """Conversations with one model that are answered together. Thread-safe: open conversations and
    send from as many threads as you like, one thread at a time for each conversation.

    While it is open the model is its own: nobody else may train it, move it or reply with it.
    A language model that cannot take several sequences at once is fed one conversation at a time,
    in turns, and a warning says so. Closing it (or leaving its `with` block) ends its replies with
    a `ValueError`.

    Args:
        max_rows: conversations that speak at once; more wait for their turn, first come, first
            served. As many media at most are denoised together.
        max_cached_tokens: positions whose keys and values are kept, over all conversations. Beyond
            it the conversation that was used least recently, and is not answering now, loses
            its own, and has them computed again at its next turn. None is `max_rows` times the
            model's context, or times 2048 where that is longer.
    """

    def __init__(
        self, model: NextGPT, *, max_rows: int = 16, max_cached_tokens: int | None = None
    ) -> None:
        for name, value in (("max_rows", max_rows), ("max_cached_tokens", max_cached_tokens)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.model = model
        self.max_rows = max_rows
        context = min(model.language.context_length or 2048, 2048)
        self.max_cached_tokens = max_cached_tokens or max_rows * context
        self._kept = _Kept(self.max_cached_tokens)
        self._worker = _Worker(max_rows)

    def chat(
        self, options: GenerationOptions | None = None, *, messages: Iterable[Message] = ()
    ) -> ChatSession:
        """A new conversation, or one that goes on after `messages`, answered in the batch."""
        return _BatchedChat(self.model, options, messages, self._worker, self._kept)

    def map(self, work: Callable[[A], T], items: Iterable[A]) -> Iterator[T]:
        """``work(item)`` for each item, in as many threads as there are rows; results come in the
        order of the items, which are taken as they are needed. `work` opens and ends its own
        conversations. Who stops taking results waits for the works that have begun.
        """
        running: deque[Future[T]] = deque()
        with ThreadPoolExecutor(self.max_rows, "anyweave-asking") as pool:
            try:
                for item in items:
                    running.append(pool.submit(work, item))
                    if len(running) > 2 * self.max_rows:  # a slow one does not stop the others
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                for future in running:
                    future.cancel()

    def close(self) -> None:
        """Stop now: replies that are not complete end with a `ValueError`."""
        self._worker.close()

    def __enter__(self) -> ReplyBatcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _BatchedChat(ChatSession):
    """A conversation whose work on the model is done by the worker."""

    def __init__(
        self,
        model: NextGPT,
        options: GenerationOptions | None,
        messages: Iterable[Message],
        worker: _Worker,
        kept: _Kept,
    ) -> None:
        super().__init__(model, options, messages=messages)
        self._worker, self._kept = worker, kept

    def _turn(
        self, user: Message, options: GenerationOptions, source: Media | None
    ) -> Generator[Event, None, None]:
        self._kept.begin(self._engine)
        try:
            yield from super()._turn(user, options, source)
        finally:
            self._kept.end(self._engine)

    def _on_model(self, work: Callable[[], T]) -> T:
        return drain(self._worker.do(_Call(work)))

    def _speak(
        self, prompt: Tensor, options: GenerationOptions
    ) -> Generator[EngineEvent, None, None]:
        return self._worker.do(_Row(self._engine, options, prompt))

    def _denoise(self, work: Denoising) -> Generator[tuple[int, int], None, list[np.ndarray]]:
        if getattr(work.decoder, "elsewhere", False):  # the worker would wait and do nothing
            return work.steps()
        return self._worker.do(_Making(work))


class _Kept:
    """Which engines hold keys and values, and who has to let go of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._clock = count()
        self._lock = threading.RLock()  # a lost generator may be collected while it is held
        self._busy: set[TokenEngine] = set()
        self._used: weakref.WeakKeyDictionary[TokenEngine, int] = weakref.WeakKeyDictionary()

    def begin(self, engine: TokenEngine) -> None:
        with self._lock:
            if engine in self._busy:
                raise ValueError(
                    "this conversation is still answering: read its events to the end or close "
                    "them, or open another conversation"
                )
            self._busy.add(engine)
            self._used[engine] = next(self._clock)

    def end(self, engine: TokenEngine) -> None:
        with self._lock:
            self._busy.discard(engine)
            oldest_first = sorted(self._used.items(), key=lambda item: item[1])
            total = sum(engine.length for engine, _ in oldest_first)
            for other, _ in oldest_first:
                if total <= self._limit:
                    break
                if other not in self._busy:
                    total -= other.length
                    other.reset()


class _Task:
    """Something that a thread waits for, and what came of it so far."""

    def __init__(self) -> None:
        self.cancelled = False
        self.over = threading.Event()  # the worker has no more to do with it
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
        """An error is this task's own: it is raised where somebody waits for it."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised in the thread that waits for it
            self.fail(error)

    def follow(self) -> Generator[Any, None, Any]:
        """What is said, as it comes; returns the result or raises the error."""
        while True:
            kind, value = self._said.get()
            if kind == "error":
                raise value
            if kind == "result":
                return value
            yield value


class _Call(_Task):
    """Work that cannot be shared: an encoder, a projector."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self._work = work

    def run(self) -> None:
        self.end(self._work())


class _Row(_Task):
    """A conversation that speaks. `wanted` is what its token loop must have consumed to go on."""

    def __init__(self, engine: TokenEngine, options: GenerationOptions, prompt: Tensor) -> None:
        super().__init__()
        self.engine = engine
        self.wanted: Tensor | None = None
        self.share = 0  # how much of it is consumed in this step
        self._reading = True  # the prompt comes first
        self._steps = engine.steps(options, prompt)

    def speak(self) -> None:
        """Go on up to where something must be consumed, or to the end."""
        if self.wanted is not None:  # a long prompt is being read
            return
        for event in self._steps:
            if isinstance(event, Wanted):
                self.wanted = event.embeds
                return
            self.say(event)
        self.end()

    def take(self, room: int) -> int:
        """Choose how much is consumed in this step, of a prompt at most `room`; returns the room
        that is left for other prompts.
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
        """Consume the next piece alone."""
        self.engine.feed(self.piece)
        self._consumed()

    def fed(self, hidden: Tensor, logits: Tensor) -> None:
        """The next piece was consumed together with those of others."""
        self.engine.fed(hidden, logits)
        self._consumed()

    def _consumed(self) -> None:
        assert self.wanted is not None
        rest = self.wanted[:, self.share :]
        self.wanted = rest if rest.shape[1] else None
        self._reading = self._reading and self.wanted is not None


class _Making(_Task):
    """Media that one conversation waits for."""

    def __init__(self, work: Denoising) -> None:
        super().__init__()
        self.work = work


class _Decoding:
    """Makings that are one work now."""

    def __init__(self, makings: list[_Making]) -> None:
        self.makings = makings
        self._steps = merged([making.work for making in makings]).steps()

    def step(self) -> bool:
        """One step further; False once there is no more to do, also because nobody waits. What
        failed together is tried again alone, so that it fails for the guilty alone.
        """
        waiting = [making for making in self.makings if not making.over.is_set()]
        if not waiting:
            self._steps.close()
            return False
        try:
            progress = next(self._steps)
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
            for making in waiting:
                making.say(progress)
            return True
        return False


class _Worker:
    """The thread that owns the model."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._threads = torch.get_num_threads()
        self._changed = threading.Condition()
        self._closed = False
        self._new: list[_Task] = []
        self._tasks: list[_Task] = []  # in the order in which they came
        self._decoding: _Decoding | None = None
        self._packed: weakref.WeakKeyDictionary[CausalLM, PackedRows | None] = (
            weakref.WeakKeyDictionary()
        )
        self._thread = threading.Thread(target=self._run, name="anyweave-replies", daemon=True)
        self._thread.start()

    # --- from any thread

    def do(self, task: _Task) -> Generator[Any, None, Any]:
        """Hand `task` to the worker and follow it. Closing the generator cancels the task, and
        comes back when the worker has let go of it.
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
            # Python may collect a generator that somebody lost in any thread, in this one too.
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
                for call in self._of(_Call):
                    call.attempt(call.run)
                self._step_rows(self._of(_Row)[: self._max_rows])
                self._step_decoder(self._of(_Making))
        finally:
            with self._changed:
                self._closed = True
                self._tasks += self._new
            for task in self._tasks:
                task.fail(ValueError("this reply is not complete: its ReplyBatcher was closed"))

    def _take_in(self) -> bool:
        """Wait for work, take in what is new and let go of what is over; False once closed."""
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

    def _step_rows(self, rows: list[_Row]) -> None:
        """Let each row speak, and feed what they want then: together where that can be."""
        together: dict[PackedRows | None, list[_Row]] = {}
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

    def _step_decoder(self, makings: list[_Making]) -> None:
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
def _feed_together(packed: PackedRows, rows: list[_Row]) -> bool:
    """One forward for all `rows`; False, and nothing consumed, where it failed and each can be
    tried alone.
    """
    engines = [row.engine for row in rows]
    pieces = [row.piece for row in rows]
    try:
        hidden = packed.feed(pieces, [e.open_cache() for e in engines], [e.length for e in engines])
        last_RD = torch.stack([states[-1] for states in hidden])
        logits_RV = engines[0].language.logits(last_RD).float().cpu()
    except Exception as error:  # noqa: BLE001  raised where it comes again, or where all is lost
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
