"""Which conversations make which step: a pure function of the step number, so resuming needs no
state.

Every global batch holds all modalities as the data has them (blended), of similar length when
bucketed. Each process takes every world-th conversation of it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from anyweave.messages import Conversation
from anyweave.processing.collate import bucketed_batches


@runtime_checkable
class Source(Protocol):
    """What a run learns from: any sequence of conversations, such as a list, read item by item.

    Items must be the same whenever they are read. A source may also have ``length(index) -> int``,
    a cheap estimate of the tokens of an item: without it bucketing reads every conversation once.
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
class KnowsLengths(Protocol):
    """A source that can tell the length of an item without making it."""

    def length(self, index: int, /) -> int: ...


def in_epoch(source: Source | EpochSource, epoch: int) -> Source:
    """The items of one epoch."""
    return source.epoch(epoch) if isinstance(source, EpochSource) else source


def rough_lengths(source: Source | EpochSource, epoch: int) -> tuple[int, ...]:
    """Lengths in tokens, near enough for bucketing: tokenising everything twice is not worth it."""
    items = in_epoch(source, epoch)
    if isinstance(items, KnowsLengths):
        return tuple(items.length(index) for index in range(len(items)))
    return tuple(
        sum(len(message.text) // 4 + 16 * len(message.media()) for message in items[index])
        for index in range(len(items))
    )


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """The order of conversations over all steps and epochs.

    `size`: items per epoch. `lengths`: epoch -> tokens per item, None when not bucketed. One
    optimizer step takes `accumulation` micro-batches of `batch_size` on each of `world` processes;
    items that do not fill a last step are left to the next epoch's shuffle.
    """

    size: int
    batch_size: int
    lengths: Callable[[int], Sequence[int]] | None = None
    world: int = 1
    accumulation: int = 1
    seed: int = 0
    window: int = 32
    shuffle: bool = True

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError("the data source is empty; there is nothing to train on")

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass, at least 1 (a smaller source gives smaller batches)."""
        full = self.size // (self.batch_size * self.world)
        return max(1, full // self.accumulation)

    def epoch_of(self, number: int) -> int:
        """The epoch that step `number` belongs to."""
        return number // self.steps_per_epoch

    def step(self, number: int, rank: int = 0) -> list[list[int]]:
        """The micro-batches of step `number` for one process, as indices into its epoch's items."""
        epoch, position = divmod(number, self.steps_per_epoch)
        batches = self._epoch(epoch)
        first = position * self.accumulation
        return [batch[rank :: self.world] for batch in batches[first : first + self.accumulation]]

    def _epoch(self, epoch: int) -> list[list[int]]:
        cached: tuple[int, list[list[int]]] | None = self.__dict__.get("_cached")
        if cached is None or cached[0] != epoch:
            cached = (epoch, self._batches(epoch))
            object.__setattr__(self, "_cached", cached)  # the plan itself does not change
        return cached[1]

    def _batches(self, epoch: int) -> list[list[int]]:
        together = self.batch_size * self.world
        if self.shuffle:
            lengths = (0,) * self.size if self.lengths is None else self.lengths(epoch)
            batches = bucketed_batches(lengths, together, self.seed, epoch, window=self.window)
        else:
            batches = [
                list(range(start, min(start + together, self.size)))
                for start in range(0, self.size, together)
            ]
        # Short batches would change the meaning of a step; they stay only where there is nothing
        # else.
        full = [batch for batch in batches if len(batch) == together]
        return full if len(full) >= self.accumulation else batches


def step_seed(*parts: int | str) -> int:
    """A seed from (run seed, step, ...): every step's randomness is its own, whatever ran before
    it.
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def total_steps(plan: BatchPlan, steps: int | None, epochs: float | None) -> int:
    """Optimizer steps of the run."""
    if steps is not None:
        return steps
    assert epochs is not None, "TrainConfig sets one of steps and epochs"
    return max(1, math.ceil(epochs * plan.steps_per_epoch))
