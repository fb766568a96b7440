"""Which conversations make up which step: a pure function of the step number, so resuming needs no
state.

Every global batch mixes modalities as the data does, with similar lengths if bucketed. Each process
takes every world-th conversation of it. A streamed source is planned one window of batches at a
time, so neither planning nor resuming mid-epoch costs more with more data.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from anyweave.data import mixture
from anyweave.media import MediaError
from anyweave.messages import Conversation
from anyweave.processing.collate import bucketed_batches


@runtime_checkable
class Source(Protocol):
    """What a run learns from: any sequence of conversations, such as a list, read item by item.

    Items must be the same on every read. A source may also have ``length(index)``, a cheap estimate
    of an item's tokens, or None; without it bucketing reads every conversation once.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Conversation: ...


@runtime_checkable
class EpochSource(Protocol):
    """A source whose items differ by epoch, such as `anyweave.data.Mixture`; every epoch has the
    same length.
    """

    def __len__(self) -> int: ...
    def epoch(self, epoch: int, /) -> Source: ...


@runtime_checkable
class MayStream(Protocol):
    """A source that says whether its epochs are already shuffled, and so read from beginning to end
    and planned window by window.
    """

    @property
    def streamed(self) -> bool: ...


def in_epoch(source: Source | EpochSource, epoch: int) -> Source:
    """The items of one epoch."""
    return source.epoch(epoch) if isinstance(source, EpochSource) else source


def is_streamed(source: Source | EpochSource) -> bool:
    """Whether to plan the source in windows rather than as a whole."""
    return isinstance(source, MayStream) and source.streamed


class Lengths:
    """Lengths in tokens for `BatchPlan.lengths`, accurate enough for bucketing: tokenising
    everything twice is not worth it.

    Items whose length the source does not know are read once, even if epochs reorder them. A
    streamed source is not read for this: unknown lengths count as equal.
    """

    def __init__(self, source: Source | EpochSource) -> None:
        self.source = source
        self._read: dict[tuple[str, int], int] = {}

    def __call__(self, epoch: int, items: range) -> tuple[int, ...]:
        source = in_epoch(self.source, epoch)
        return tuple(self._length(source, epoch, index) for index in items)

    def _length(self, items: Source, epoch: int, index: int) -> int:
        told = mixture.length(items, index)
        if told is not None or is_streamed(self.source):
            return told or 0
        if isinstance(self.source, mixture.Mixture):
            item = self.source.locate(epoch, index)
        elif isinstance(self.source, EpochSource):  # its items may differ each epoch
            return _estimate(items, index)
        else:
            item = ("", index)
        if item not in self._read:
            self._read[item] = _estimate(items, index)
        return self._read[item]


def _estimate(items: Source, index: int) -> int:
    try:
        conversation = items[index]
    except (MediaError, OSError):  # unreadable: the renderer will skip the item and report it
        return 0
    return sum(len(message.text) // 4 + 16 * len(message.media()) for message in conversation)


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """The order of conversations over all steps and epochs.

    `size`: items per epoch. `lengths`: (epoch, items) -> tokens per item, None when not bucketed.
    One optimizer step takes `accumulation` micro-batches of `batch_size` on each of `world`
    processes; items that do not fill a last step wait for the next epoch, whatever their length.
    `streamed` plans `window` batches of consecutive items at a time.
    """

    size: int
    batch_size: int
    lengths: Callable[[int, range], Sequence[int]] | None = None
    world: int = 1
    accumulation: int = 1
    seed: int = 0
    window: int = 32
    shuffle: bool = True
    streamed: bool = False
    order: tuple[int, int] | None = None
    """(conversations of a micro-batch over all processes, micro-batches per step) at the start of a
    run: it continues with the same steps, however they are divided now.
    """

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError("the data source is empty; there is nothing to train on")
        if self.order is not None and math.prod(self.order) != math.prod(self.division):
            raise ValueError(
                f"a step of this run has {math.prod(self.order)} conversations, but "
                f"{self.world} process(es) x data.batch_size {self.batch_size} x "
                f"grad_accumulation {self.accumulation} make {math.prod(self.division)}"
                f"{self._advice(math.prod(self.order))}"
            )

    def _advice(self, wanted: int) -> str:
        each = wanted // (self.world * self.accumulation)
        if each * self.world * self.accumulation == wanted:
            return f"; give data.batch_size={each}"
        return f"; {wanted} cannot be divided so: use another number of processes"

    @property
    def division(self) -> tuple[int, int]:
        """Like `order`, for the current processes."""
        return self.batch_size * self.world, self.accumulation

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass, at least 1 (a smaller source gives smaller batches)."""
        together, accumulation = self._order
        return max(1, self.size // together // accumulation)

    def epoch_of(self, number: int) -> int:
        """The epoch that step `number` belongs to."""
        return number // self.steps_per_epoch

    def step(self, number: int, rank: int = 0) -> list[list[int]]:
        """The micro-batches of step `number` for one process, as indices into its epoch's items."""
        epoch, position = divmod(number, self.steps_per_epoch)
        _, accumulation = self._order
        first = position * accumulation
        if not self._in_windows:
            batches = self._window(epoch, 0)[first : first + accumulation]
        else:
            places = [divmod(first + micro, self.window) for micro in range(accumulation)]
            batches = [self._window(epoch, window)[place] for window, place in places]
        if self._order != self.division:
            together, _ = self.division
            items = [item for batch in batches for item in batch]
            batches = [items[k : k + together] for k in range(0, len(items), together)]
        return [batch[rank :: self.world] for batch in batches]

    @property
    def _order(self) -> tuple[int, int]:
        return self.order or self.division

    @property
    def _in_windows(self) -> bool:
        # Too few items for one step form a single window, whose short batches are used.
        return self.streamed and self.size >= math.prod(self._order)

    def _window(self, epoch: int, number: int) -> list[list[int]]:
        cached: dict[tuple[int, int], list[list[int]]] = self.__dict__.setdefault("_cached", {})
        if (epoch, number) not in cached:
            while len(cached) > 1:  # a step's micro-batches may span two windows
                del cached[next(iter(cached))]
            cached[epoch, number] = self._batches(epoch, number)
        return cached[epoch, number]

    def _batches(self, epoch: int, number: int) -> list[list[int]]:
        (together, accumulation), seed, items = self._order, self.seed, range(self.size)
        if self._in_windows:
            span = together * self.window
            items = items[number * span : (number + 1) * span]
            seed = step_seed(seed, "window", number)
        # Short batches would change what a step means; they are kept only if there are no others.
        full = self.size >= together * accumulation
        if not self.shuffle:
            # The next epoch begins with what this one leaves over.
            used = self.steps_per_epoch * accumulation * together if full else 0
            first = items.start + epoch * used
            places = [
                range(k, min(k + together, len(items))) for k in range(0, len(items), together)
            ]
            return [
                [(first + place) % self.size for place in batch]
                for batch in places
                if len(batch) == together or not full
            ]
        lengths = (0,) * len(items) if self.lengths is None else self.lengths(epoch, items)
        batches = bucketed_batches(
            lengths, together, seed, epoch, window=self.window, drop_last=full
        )
        return [[items[index] for index in batch] for batch in batches]


def step_seed(*parts: int | str) -> int:
    """A seed from (run seed, step, ...), so that a step's randomness does not depend on what ran
    before it.
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def total_steps(plan: BatchPlan, steps: int | None, epochs: float | None) -> int:
    """Optimizer steps of the run."""
    if steps is not None:
        return steps
    assert epochs is not None, "TrainConfig sets one of steps and epochs"
    return max(1, math.ceil(epochs * plan.steps_per_epoch))
