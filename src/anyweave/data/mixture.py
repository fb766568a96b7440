"""Several sources shuffled into one, in an order that depends only on the seed.

A position is a pair (epoch, index). To resume, ask for the next position: there is no iterator
state to keep. There are two orders: everything shuffled together, with its indices in memory, or,
with a `buffer`, nearly sequential reading, which needs no memory (see `order`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from anyweave.data.order import ShuffledOrder

Item = TypeVar("Item", covariant=True)


@runtime_checkable
class Source(Protocol[Item]):
    """A map-style source: a list is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Item: ...


@dataclass(frozen=True)
class Reading:
    """An item, and what was lost of its row."""

    conversation: Any
    lost: tuple[str, ...] = ()


# What a source may know besides its items, through a method of the same name.


def where(source: object, index: int) -> str:
    """Where an item of a source is, like ``train.jsonl:12``; "" if unknown."""
    ask = getattr(source, "where", None)
    return "" if ask is None else str(ask(index))


def length(source: object, index: int) -> int | None:
    """About how many tokens an item has, without building it; None if unknown."""
    ask = getattr(source, "length", None)
    return None if ask is None else ask(index)


def reading(source: Source[Any], index: int) -> Reading:
    """An item of a source with what was lost of it, as far as the source knows."""
    ask = getattr(source, "reading", None)
    return Reading(source[index]) if ask is None else ask(index)


class Mixture(Generic[Item]):
    """Draws from `sources` in proportion to `weights`, in an order given by `seed` and epoch.

    An epoch has `length` samples (default: as many as all sources together); each source gives its
    share of them, rounded so that the shares add up. Without weights every sample comes exactly
    once an epoch. Each source is traversed in a shuffled order, then in another, and so on across
    epochs: none of its samples repeats before all have come once.

    With a `buffer`, runs of `block` consecutive samples of a source are shuffled, and then samples
    within `buffer` positions: for sources whose indices do not fit in memory, or that are slow to
    read at random. A small `buffer` mixes less.

    Raises `ValueError` for an empty source, a weight that is not positive or has no source, a
    `block` that does not fit into the `buffer`.
    """

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that its sources read, as far as known."""
        return tuple(f for source in self.sources.values() for f in getattr(source, "files", ()))

    def __init__(
        self,
        sources: Mapping[str, Source[Item]],
        *,
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
        length: int | None = None,
        buffer: int | None = None,
        block: int = 64,
    ) -> None:
        _check(sources, weights, length)
        self.sources = dict(sources)
        self.seed = seed
        self.streamed = buffer is not None
        self._names = list(self.sources)
        sizes = [len(source) for source in self.sources.values()]
        self._length = sum(sizes) if length is None else length
        shares = sizes if weights is None else [weights[name] for name in self._names]
        self._counts = _apportion(shares, self._length)
        if buffer is None:
            block, buffer = 1, self._length
        self._order = ShuffledOrder(
            self._names, sizes, self._counts, seed=seed, block=block, buffer=buffer
        )

    def __len__(self) -> int:
        """The number of samples in an epoch."""
        return self._length

    @property
    def counts(self) -> dict[str, int]:
        """How many samples of an epoch come from each source."""
        return dict(zip(self.sources, self._counts, strict=True))

    def locate(self, epoch: int, index: int) -> tuple[str, int]:
        """Name of the source at a position, and the index of the sample there."""
        if epoch < 0 or not 0 <= index < self._length:
            raise IndexError(
                f"no position (epoch {epoch}, index {index}); an epoch has {self._length} samples"
            )
        number, place = self._order.locate(epoch, index)
        return self._names[number], place

    def at(self, epoch: int, index: int) -> Item:
        """The sample at a position."""
        name, place = self.locate(epoch, index)
        return self.sources[name][place]

    def epoch(self, epoch: int) -> Epoch[Item]:
        """One epoch as a map-style source of its own, already shuffled."""
        return Epoch(self, epoch)


class Epoch(Generic[Item]):
    """One epoch of a mixture, by index: what a data loader takes, with its own shuffling off."""

    def __init__(self, mixture: Mixture[Item], number: int) -> None:
        self.mixture = mixture
        self.number = number

    def __len__(self) -> int:
        return len(self.mixture)

    def __getitem__(self, index: int) -> Item:
        return self.mixture.at(self.number, index)

    def __iter__(self) -> Iterator[Item]:
        return map(self.__getitem__, range(len(self)))

    def reading(self, index: int) -> Reading:
        """The sample with what was lost of its row."""
        return reading(*self._place(index))

    def where(self, index: int) -> str:
        """File and line of the sample, "" where its source does not know."""
        return where(*self._place(index))

    def _place(self, index: int) -> tuple[Source[Item], int]:
        name, place = self.mixture.locate(self.number, index)
        return self.mixture.sources[name], place

    def length(self, index: int) -> int | None:
        """About how many tokens the sample has, where its source knows."""
        return length(*self._place(index))


def _check(
    sources: Mapping[str, Source[Item]], weights: Mapping[str, float] | None, length: int | None
) -> None:
    if not sources:
        raise ValueError("a mixture needs at least one source, got none")
    for name, source in sources.items():
        if len(source) == 0:
            raise ValueError(f"the source {name!r} is empty; remove it from the mixture")
    if length is not None and length < 1:
        raise ValueError(f"an epoch needs at least one sample, got length={length}")
    if weights is None:
        return
    if set(weights) != set(sources):
        raise ValueError(
            f"weights are for {sorted(weights)}, sources are {sorted(sources)}; give each a weight"
        )
    for name, weight in weights.items():
        if not (weight > 0 and math.isfinite(weight)):
            raise ValueError(
                f"the weight of {name!r} must be positive, got {weight}; remove unwanted sources"
            )


def _apportion(shares: list[float] | list[int], total: int) -> list[int]:
    """`total` in whole numbers in proportion to `shares` (largest remainders)."""
    exact = [total * share / sum(shares) for share in shares]
    counts = [math.floor(value) for value in exact]
    by_rest = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_rest[: total - sum(counts)]:
        counts[i] += 1
    return counts
