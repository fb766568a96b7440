"""Metrics: pure functions of counts and sets."""

from anyweave.evaluation.metrics.decisions import Decisions
from anyweave.evaluation.metrics.intervals import Figure, Proportion, Ratio, wilson_interval

__all__ = ["Decisions", "Figure", "Proportion", "Ratio", "wilson_interval"]
