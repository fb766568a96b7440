"""Which texts say nearly the same: MinHash finds the candidates, their shingles decide."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt64

__all__ = ["near_duplicates", "shingles"]

_HASHES, _ROWS = 64, 4  # 16 bands of 4: of pairs that are 0.7 alike, 1 in 100 is missed


def shingles(text: str, size: int = 3) -> frozenset[int]:
    """Hashes of all runs of `size` words, whatever their case and punctuation."""
    words = re.findall(r"[^\W_]+", text.lower())
    runs = [" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))]
    return frozenset(zlib.crc32(run.encode()) for run in runs)


def near_duplicates(texts: Sequence[str], max_similarity: float) -> dict[int, int]:
    """Texts that share more than `max_similarity` of their shingles (Jaccard) with an earlier one
    that stays: their index -> the index of the earlier one.
    """
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 2**63, _HASHES, dtype=np.uint64) | np.uint64(1)
    offsets = rng.integers(0, 2**63, _HASHES, dtype=np.uint64)
    buckets: dict[bytes, list[int]] = defaultdict(list)
    kept: dict[int, frozenset[int]] = {}
    same: dict[int, int] = {}
    for number, text in enumerate(texts):
        runs = shingles(text)
        bands = _bands(runs, factors, offsets)
        near = sorted({other for band in bands for other in buckets[band]})
        twin = next((n for n in near if _jaccard(kept[n], runs) > max_similarity), None)
        if twin is not None:
            same[number] = twin
            continue
        kept[number] = runs
        for band in bands:
            buckets[band].append(number)
    return same


def _bands(
    runs: frozenset[int], factors: UInt64[np.ndarray, " H"], offsets: UInt64[np.ndarray, " H"]
) -> list[bytes]:
    hashes_R = np.fromiter(runs, np.uint64, len(runs))
    # Multiply and shift: wrapping around at 64 bits is what makes it a hash.
    mixed_RH = (hashes_R[:, None] * factors + offsets) >> np.uint64(32)
    smallest_H = mixed_RH.min(axis=0).astype(np.uint32)
    return [
        bytes([band]) + smallest_H[band * _ROWS : (band + 1) * _ROWS].tobytes()
        for band in range(_HASHES // _ROWS)
    ]


def _jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    return len(a & b) / len(a | b)
