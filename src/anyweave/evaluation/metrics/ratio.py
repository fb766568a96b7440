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
        pairs = np.asarray(self.pairs)
        drawn = np.random.default_rng(0).integers(len(pairs), size=(_RESAMPLES, len(pairs)))
        over, under = pairs[drawn].sum(1).T
        low, high = np.quantile(over[under != 0] / under[under != 0], (0.025, 0.975))
        return float(low), float(high)
