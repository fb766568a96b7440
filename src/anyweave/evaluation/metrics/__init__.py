"""Metrics: pure functions of counts and sets."""

from anyweave.evaluation.metrics.decisions import Decisions
from anyweave.evaluation.metrics.proportion import Proportion, wilson_interval

__all__ = ["Decisions", "Proportion", "wilson_interval"]
