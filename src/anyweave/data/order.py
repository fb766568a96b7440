"""A shuffled order of records that is computed, not stored: nearly sequential on disk, and the same
wherever it is entered.

    position --window--> shuffled within `buffer` positions
             --piece---> pieces of `block` draws of one source, in a shuffled order
             --draw----> which pass over the source, and which record of it

A reader is in `buffer / block` runs of consecutive records at a time, so files are read in long
strides. Finding the record at a position takes no memory and no replay, so a run may begin
anywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

Places = Int[np.ndarray, " N"]
_ROUNDS = 8


class Permutation:
    """A shuffle of ``range(size)`` given by `seeds`: a Feistel network, so nothing is stored."""

    def __init__(self, size: int, *seeds: int) -> None:
        self.size = size
        bits = max(2, ((size - 1).bit_length() + 1) // 2)  # of each half
        self._bits, self._mask = np.uint64(bits), np.uint64((1 << bits) - 1)
        words = np.random.SeedSequence([seed & 0xFFFFFFFF for seed in seeds])
        self._keys = words.generate_state(_ROUNDS, np.uint64)

    def __call__(self, places: Places) -> Places:
        """Where the given places go."""
        made = self._network(places.astype(np.uint64))
        # The network permutes the next power of four; a value outside the range is mapped again
        # until it falls inside.
        while (outside := made >= self.size).any():
            made[outside] = self._network(made[outside])
        return made.astype(np.int64)

    def _network(self, values: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        left, right = values >> self._bits, values & self._mask
        for key in self._keys:
            left, right = right, left ^ (_scrambled(right + key) & self._mask)
        return (left << self._bits) | right


class ShuffledOrder:
    """Which record of which source stands at a position of an epoch.

    Sources have `sizes` records and give `counts` draws to every epoch. Draws of a source are
    counted over all epochs, and no record is drawn again before all have been. Only the two windows
    computed last are in memory. Where one window spans the epoch, a source's draws rise with the
    position: adding another source leaves the order within this one unchanged.
    """

    def __init__(
        self,
        names: Sequence[str],
        sizes: Sequence[int],
        counts: Sequence[int],
        *,
        seed: int,
        block: int,
        buffer: int,
    ) -> None:
        if not 1 <= block <= buffer:
            raise ValueError(f"block must be from 1 to buffer={buffer}, got block={block}")
        self.seed, self.block, self.buffer = seed, block, buffer
        self._seeds = [zlib.crc32(name.encode()) for name in names]
        self._sizes = np.asarray(sizes, np.int64)
        self._counts = np.asarray(counts, np.int64)
        self._length = int(self._counts.sum())
        self._pieces = np.cumsum(self._counts // block)
        self._rests = np.cumsum(self._counts % block)
        self._windows: dict[tuple[int, int], Int[np.ndarray, "M 2"]] = {}

    def locate(self, epoch: int, index: int) -> tuple[int, int]:
        """The number of the source at a position, and the record there."""
        window, place = divmod(index, self.buffer)
        if (epoch, window) not in self._windows:
            if len(self._windows) > 1:
                del self._windows[next(iter(self._windows))]
            self._windows[epoch, window] = self._window(epoch, window)
        number, record = self._windows[epoch, window][place]
        return int(number), int(record)

    def _window(self, epoch: int, window: int) -> Int[np.ndarray, "M 2"]:
        start = window * self.buffer
        size = min(self.buffer, self._length - start)
        order = Permutation(size, self.seed, epoch, window)
        numbers, ranks = self._draws(epoch, start + order(np.arange(size)))
        for number in range(len(self._sizes)) if size == self._length else ():
            ranks[numbers == number] = np.arange(self._counts[number])
        draws = epoch * self._counts[numbers] + ranks
        turns, places = np.divmod(draws, self._sizes[numbers])
        records = np.empty_like(places)
        for number, turn in set(zip(numbers.tolist(), turns.tolist(), strict=True)):
            here = (numbers == number) & (turns == turn)
            records[here] = self._records(number, turn, places[here])
        return np.stack([numbers, records], axis=1)

    def _draws(self, epoch: int, positions: Places) -> tuple[Places, Places]:
        """Source and rank among its draws of this epoch: pieces in shuffled order, then what fills
        no piece.
        """
        numbers, ranks = np.empty_like(positions), np.empty_like(positions)
        whole = int(self._pieces[-1])
        inside = positions < whole * self.block
        if inside.any():
            pieces, rest = np.divmod(positions[inside], self.block)
            pieces = Permutation(whole, self.seed, epoch)(pieces)
            numbers[inside] = found = np.searchsorted(self._pieces, pieces, side="right")
            before = self._pieces[found] - self._counts[found] // self.block
            ranks[inside] = (pieces - before) * self.block + rest
        tail = positions[~inside] - whole * self.block
        numbers[~inside] = found = np.searchsorted(self._rests, tail, side="right")
        before = self._rests[found] - self._counts[found] % self.block
        ranks[~inside] = self._counts[found] // self.block * self.block + tail - before
        return numbers, ranks

    def _records(self, number: int, turn: int, places: Places) -> Places:
        """Records of a source in pass `turn`: its blocks in shuffled order, a short one last."""
        whole = int(self._sizes[number]) // self.block
        blocks, rest = np.divmod(places, self.block)
        inside = blocks < whole
        if inside.any():
            order = Permutation(whole, self.seed, turn, self._seeds[number])
            blocks[inside] = order(blocks[inside])
        return blocks * self.block + rest


def _scrambled(values: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    # The finaliser of splitmix64 (Steele et al. 2014): every input bit moves every output bit.
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
