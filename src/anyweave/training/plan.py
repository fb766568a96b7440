"""Which conversations make which step: a pure function of the step number, so resuming needs no state.

Every global batch holds all modalities as the data has them (blended), of similar length when bucketed. Each process
takes every world-th conversation of it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from anyweave.messages import Conversation
from anyweave.processing.collate import bucketed_batches


class Source(Protocol):
    """What a run learns from: any sequence of conversations, such as a list, read item by item.

    Items must be the same whenever they are read. A source may also have ``length(index) -> int``, a cheap estimate of
    the tokens of an item: without it bucketing reads every conversation once.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Conversation: ...


@runtime_checkable
class KnowsLengths(Protocol):
    def length(self, index: int, /) -> int: ...


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """The order of conversations over all steps and epochs.

    `lengths`: tokens per item (all equal when not bucketed). One optimizer step takes `accumulation` micro-batches of
    `batch_size` on each of `world` processes; items that do not fill a last step are left to the next epoch's shuffle.
    """

    lengths: tuple[int, ...]
    batch_size: int
    world: int = 1
    accumulation: int = 1
    seed: int = 0
    window: int = 32
    shuffle: bool = True

    def __post_init__(self) -> None:
        if not self.lengths:
            raise ValueError("the data source is empty; there is nothing to train on")

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass, at least 1 (a smaller source gives smaller batches)."""
        full = len(self.lengths) // (self.batch_size * self.world)
        return max(1, full // self.accumulation)

    def step(self, number: int, rank: int = 0) -> list[list[int]]:
        """The micro-batches of step `number` for one process, as indices into the source."""
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
        size = self.batch_size * self.world
        if not self.shuffle:
            batches = [
                list(range(start, min(start + size, len(self.lengths))))
                for start in range(0, len(self.lengths), size)
            ]
        else:
            batches = bucketed_batches(self.lengths, size, self.seed, epoch, window=self.window)
        # Short batches would change the meaning of a step; they stay only where there is nothing else.
        full = [batch for batch in batches if len(batch) == size]
        return full if len(full) >= self.accumulation else batches


def step_seed(*parts: int | str) -> int:
    """A seed from (run seed, step, ...): every step's randomness is its own, whatever ran before it."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def total_steps(plan: BatchPlan, steps: int | None, epochs: float | None) -> int:
    """Optimizer steps of the run."""
    if steps is not None:
        return steps
    assert epochs is not None, "TrainConfig sets one of steps and epochs"
    return max(1, math.ceil(epochs * plan.steps_per_epoch))


def uniform_lengths(source: Sequence[Conversation] | Source) -> tuple[int, ...]:
    """Lengths that say nothing, for runs without bucketing."""
    return (0,) * len(source)
