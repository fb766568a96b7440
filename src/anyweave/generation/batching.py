"""Batched replies: one thread owns the model, and every forward of the language model serves all
conversations that are generating text.

    calling threads               the worker, between two steps
    chat.send() -- prompt -->     rows: each one sequence, its token loop and its own KV cache
                                  step: all rows' next inputs are packed into one forward
                <- events --      each row samples from its own logits with its own seed
                -- spans -->      denoising: jobs of one decoder with equal options are merged
                <- progress --    its steps alternate with those of the rows

Rows join and leave between steps, without padding or copying (`language/packing.py`).
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TypeVar

import numpy as np
from torch import Tensor

from anyweave.decoders.sampling import Steps, drain
from anyweave.generation.chat import ChatSession
from anyweave.generation.denoising import Denoising
from anyweave.generation.depicting import depicted, depiction
from anyweave.generation.draft import Finder
from anyweave.generation.engine import TokenEngine
from anyweave.generation.events import EngineEvent, Event
from anyweave.generation.options import GenerationOptions
from anyweave.generation.worker import Call, Making, Row, Worker
from anyweave.messages import Media, Message, Modality
from anyweave.model.any_to_any import NextGPT

A = TypeVar("A")
T = TypeVar("T")


class ReplyBatcher:
    """Answers several conversations with one model together. Thread-safe: open conversations and
    send from as many threads as you like, one thread at a time per conversation.

    While open, it owns the model: nothing else may train it, move it or reply with it. A language
    model that cannot batch sequences serves conversations in turns, and a warning says so. Closing
    it (or leaving its `with` block) ends pending replies with a `ValueError`.

    Args:
        max_rows: conversations that generate at once; others wait, first come, first served. Also
            the most media denoised together.
        max_cached_tokens: positions whose keys and values are kept, over all conversations. Beyond
            it the least recently used idle conversation loses its own, and recomputes them at its
            next turn. None is `max_rows` times the model's context (at most 2048).
    """

    def __init__(
        self,
        model: NextGPT,
        *,
        max_rows: int = 16,
        max_cached_tokens: int | None = None,
        finder: Finder | None = None,
    ) -> None:
        """`finder` is called for each medium of every conversation, as in `ChatSession`."""
        for name, value in (("max_rows", max_rows), ("max_cached_tokens", max_cached_tokens)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.model = model
        self.max_rows = max_rows
        self._finder = finder
        context = min(model.language.context_length or 2048, 2048)
        self.max_cached_tokens = max_cached_tokens or max_rows * context
        self._kept = _Kept(self.max_cached_tokens)
        self._worker = Worker(max_rows)

    def chat(
        self, options: GenerationOptions | None = None, *, messages: Iterable[Message] = ()
    ) -> ChatSession:
        """A new conversation, or one that continues after `messages`, answered in the batch."""
        return _BatchedChat(
            self.model, options, messages, self._worker, self._kept, finder=self._finder
        )

    def depict(
        self,
        modality: Modality,
        caption: str,
        seed: int = 0,
        options: GenerationOptions | None = None,
    ) -> Media | None:
        """Like `depicting.depict`, batched with other threads' requests."""
        if modality not in self.model.decoders:
            return None
        options = options or GenerationOptions()
        work = partial(depiction, self.model, modality, caption, seed, options)
        (array,) = drain(self._worker.do(Making(drain(self._worker.do(Call(work))))))
        return depicted(self.model, modality, caption, options, array)

    def map(self, work: Callable[[A], T], items: Iterable[A]) -> Iterator[T]:
        """``work(item)`` for each item, in as many threads as there are rows; results come in the
        order of the items, which are consumed lazily. `work` opens and ends its own conversations.
        Closing the iterator early waits for running calls.
        """
        running: deque[Future[T]] = deque()
        with ThreadPoolExecutor(self.max_rows, "anyweave-asking") as pool:
            try:
                for item in items:
                    running.append(pool.submit(work, item))
                    if len(running) > 2 * self.max_rows:  # slack, so a slow one stalls no others
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                for future in running:
                    future.cancel()

    def close(self) -> None:
        """Stop now: incomplete replies end with a `ValueError`."""
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
        worker: Worker,
        kept: _Kept,
        *,
        finder: Finder | None,
    ) -> None:
        super().__init__(model, options, messages=messages, finder=finder)
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
        return drain(self._worker.do(Call(work)))

    def _on_decoders(self, work: Callable[[], T]) -> T:
        # Remote decoders are waited for here; in the worker they would block every conversation.
        return work() if self.model.decoders.elsewhere else self._on_model(work)

    def _speak(
        self, prompt: Tensor, options: GenerationOptions
    ) -> Generator[EngineEvent, None, None]:
        return self._worker.do(Row(self._engine, options, prompt))

    def _denoise(self, work: Denoising) -> Steps[list[np.ndarray]]:
        if self.model.decoders.elsewhere:
            return work.steps()
        return self._worker.do(Making(work))


class _Kept:
    """Tracks which engines hold keys and values, and which must release them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._clock = count()
        self._lock = threading.RLock()  # garbage collection of a generator may re-enter
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
