"""A metric as it is reported: one value, its interval and its number of trials."""

from __future__ import annotations

from dataclasses import dataclass

from anyweave.evaluation.metrics.proportion import Proportion
from anyweave.evaluation.metrics.ratio import Ratio


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value and its 95% interval, both None where nothing was tried."""

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
