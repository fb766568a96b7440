"""Several sources as one, shuffled: which sample stands where depends on nothing but the seed.

A position is a pair (epoch, index). To go on after a stop, ask for the next position: no iterator
state has to be kept.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Int

Item = TypeVar("Item", covariant=True)


@runtime_checkable
class Source(Protocol[Item]):
    """A map-style source: a list is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Item: ...


class Mixture(Generic[Item]):
    """Draws from `sources` in proportion to `weights`, in an order given by `seed` and epoch.

    An epoch has `length` samples (default: as many as all sources together); each source gives its
    share of them, rounded so that the shares add up. Without weights every sample comes exactly
    once an epoch. A source is gone through in a shuffled order, then in another, and so on across
    epochs: none of its samples comes a second time before all have come once.

    Raises `ValueError` for an empty source, a weight that is not positive or has no source.
    """

    def __init__(
        self,
        sources: Mapping[str, Source[Item]],
        *,
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
        length: int | None = None,
    ) -> None:
        _check(sources, weights, length)
        self.sources = dict(sources)
        self.seed = seed
        self._sizes = [len(source) for source in self.sources.values()]
        self._length = sum(self._sizes) if length is None else length
        shares = self._sizes if weights is None else [weights[name] for name in self.sources]
        self._counts = _apportion(shares, self._length)
        self._epoch_cache: tuple[int, Int[np.ndarray, "N 2"]] | None = None
        self._order_cache: dict[str, tuple[int, Int[np.ndarray, " S"]]] = {}

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
        number, rank = self._slots(epoch)[index]
        # Draws of a source are counted over all epochs: draw d is in its pass d // size.
        turn, place = divmod(epoch * self._counts[number] + int(rank), self._sizes[number])
        name = list(self.sources)[number]
        return name, int(self._order(name, self._sizes[number], turn)[place])

    def at(self, epoch: int, index: int) -> Item:
        """The sample at a position."""
        name, place = self.locate(epoch, index)
        return self.sources[name][place]

    def epoch(self, epoch: int) -> Epoch[Item]:
        """One epoch as a map-style source of its own, already shuffled."""
        return Epoch(self, epoch)

    def iterate(self, epoch: int = 0, index: int = 0) -> Iterator[tuple[int, int, Item]]:
        """Endless ``(epoch, index, sample)`` from a position on."""
        if index == self._length:  # the position after an epoch's last sample
            epoch, index = epoch + 1, 0
        while True:
            for place in range(index, self._length):
                yield epoch, place, self.at(epoch, place)
            epoch, index = epoch + 1, 0

    def _slots(self, epoch: int) -> Int[np.ndarray, "N 2"]:
        """For every index of an epoch: the number of its source, and which of its draws this is."""
        if self._epoch_cache is None or self._epoch_cache[0] != epoch:
            numbers = np.repeat(np.arange(len(self._counts)), self._counts)
            numbers = numbers[_shuffled(self._length, self.seed, epoch)]
            # Draws rise with the index, so that a reader in order needs one pass's order at a time.
            draws = np.empty_like(numbers)
            for number, count in enumerate(self._counts):
                draws[numbers == number] = np.arange(count)
            self._epoch_cache = epoch, np.stack([numbers, draws], axis=1)
        return self._epoch_cache[1]

    def _order(self, name: str, size: int, turn: int) -> Int[np.ndarray, " S"]:
        cached = self._order_cache.get(name)
        if cached is None or cached[0] != turn:
            # Seeded by its name: another source added to the mixture leaves this order alone.
            order = _shuffled(size, self.seed, turn, zlib.crc32(name.encode()))
            cached = self._order_cache[name] = turn, order
        return cached[1]


class Epoch(Generic[Item]):
    """One epoch of a mixture, by index: what a data loader takes, with its own shuffling off."""

    def __init__(self, mixture: Mixture[Item], number: int) -> None:
        self.mixture = mixture
        self.number = number

    def __len__(self) -> int:
        return len(self.mixture)

    def __getitem__(self, index: int) -> Item:
        return self.mixture.at(self.number, index)


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


def _shuffled(size: int, *seeds: int) -> Int[np.ndarray, " S"]:
    # RandomState, whose stream numpy promises for ever; a Generator's may change with a release.
    bits = np.random.MT19937(np.random.SeedSequence([seed & 0xFFFFFFFF for seed in seeds]))
    return np.random.RandomState(bits).permutation(size)
