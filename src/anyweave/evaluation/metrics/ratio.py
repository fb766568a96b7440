"""A sum over a sum, such as a loss per token, with its number of trials and its interval."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """Numerator and denominator of every trial. A trial is what was drawn independently: a
    conversation, not one of its tokens.
    """

    pairs: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, float]]) -> Ratio:
        return cls(tuple(pairs))

    @property
    def trials(self) -> int:
        return len(self.pairs)

    @property
    def value(self) -> float | None:
        """None where nothing was tried or all denominators are 0."""
        under = sum(pair[1] for pair in self.pairs)
        return sum(pair[0] for pair in self.pairs) / under if under else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95%, percentiles of the same ratio over bootstrap resamples of the trials (Efron 1979);
        always the same for the same pairs. None where there is no value.
        """
        if self.value is None:
            return None
        pairs, rng = np.asarray(self.pairs), np.random.default_rng(0)
        sums, step = [], max(1, 10**6 // len(pairs))  # all at once would be gigabytes
        for start in range(0, _RESAMPLES, step):
            size = (min(step, _RESAMPLES - start), len(pairs))
            sums.append(pairs[rng.integers(len(pairs), size=size)].sum(1))
        over, under = np.concatenate(sums).T
        low, high = np.quantile(over[under != 0] / under[under != 0], (0.025, 0.975))
        return float(low), float(high)
