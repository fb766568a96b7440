"""Metrics: pure functions of counts and sets."""

from anyweave.evaluation.metrics.decisions import Decisions
from anyweave.evaluation.metrics.figure import Figure
from anyweave.evaluation.metrics.proportion import Proportion, wilson_interval
from anyweave.evaluation.metrics.ratio import Ratio

__all__ = ["Decisions", "Figure", "Proportion", "Ratio", "wilson_interval"]
