"""How much raters agree: Krippendorff's alpha."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any, Literal

__all__ = ["krippendorff_alpha"]


def krippendorff_alpha(
    units: Sequence[Mapping[Any, float]], metric: Literal["interval", "nominal"] = "interval"
) -> float | None:
    """Alpha (Krippendorff 2011, "Computing Krippendorff's alpha-reliability"): 1 where raters
    always agree, 0 where they agree no more than by chance.

    Args:
        units: what was rated; for each, the values by rater. Raters may be missing.
        metric: distance between two values: squared difference, or whether they differ.

    None where no unit has two raters, or all values are the same: nothing could have differed.
    """
    pairable = [list(unit.values()) for unit in units if len(unit) > 1]
    values = [value for unit in pairable for value in unit]

    def distance(one: float, other: float) -> float:
        return (one - other) ** 2 if metric == "interval" else float(one != other)

    def spread(group: Sequence[float]) -> float:
        return sum(distance(a, b) for a, b in permutations(group, 2)) / (len(group) - 1)

    if not values or not (expected := spread(values)):
        return None
    return 1 - sum(spread(unit) for unit in pairable) / expected
