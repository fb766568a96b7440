"""Values that are never without their number of trials and their interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Z_95 = 1.959964  # two-sided 95% quantile of the normal distribution
_RESAMPLES = 2000


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Interval of a share by Wilson's score (Wilson 1927); ``(0, 1)`` where nothing was tried.

    Unlike ``p +- z s`` it stays within 0..1 and has a width at no and at all successes. Raises
    `ValueError` for impossible counts.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials cannot be")
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Proportion:
    """A share: `successes` of `trials`."""

    successes: int
    trials: int

    @classmethod
    def of(cls, outcomes: Iterable[bool]) -> Proportion:
        outcomes = list(outcomes)
        return cls(sum(outcomes), len(outcomes))

    @property
    def share(self) -> float | None:
        """None where nothing was tried."""
        return self.successes / self.trials if self.trials else None

    @property
    def interval(self) -> tuple[float, float]:
        """95%, Wilson."""
        return wilson_interval(self.successes, self.trials)

    def to_dict(self) -> dict[str, Any]:
        low, high = self.interval
        return {
            "share": None if self.share is None else round(self.share, 4),
            "successes": self.successes,
            "trials": self.trials,
            "interval_95": [round(low, 4), round(high, 4)],
        }

    def __str__(self) -> str:
        if self.share is None:
            return "not tried"
        low, high = self.interval
        return f"{self.share:.2f} [{low:.2f}, {high:.2f}]"


@dataclass(frozen=True)
class Ratio:
    """A sum over a sum, such as a loss per token: numerator and denominator of every trial. A trial
    is what was drawn independently: a conversation, not one of its tokens.
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


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A metric as it is reported: its value and 95% interval, both None where nothing was tried."""

    value: float | None
    interval: tuple[float, float] | None
    trials: int

    @classmethod
    def of(cls, metric: Proportion | Ratio) -> Figure:
        value = metric.share if isinstance(metric, Proportion) else metric.value
        interval = None if value is None else metric.interval
        return cls(value=value, interval=interval, trials=metric.trials)

    def __str__(self) -> str:
        if self.value is None or self.interval is None:
            return "not tried"
        low, high = self.interval
        return f"{self.value:.2f} [{low:.2f}, {high:.2f}]"
