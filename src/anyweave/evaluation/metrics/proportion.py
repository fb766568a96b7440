"""A share of successes, never without its number of trials and its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Z_95 = 1.959964  # two-sided 95% quantile of the normal distribution


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
    """`successes` of `trials`."""

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
