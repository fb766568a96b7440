"""Krippendorff's alpha against his own example (2011, p. 6) and values known by hand."""

from __future__ import annotations

import pytest

from anyweave.evaluation.human import krippendorff_alpha

NAN = None
# Four observers, twelve units.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]
UNITS = [
    {rater: float(score) for rater, row in enumerate(OBSERVERS) if (score := row[unit]) is not None}
    for unit in range(12)
]


def test_the_published_example() -> None:
    assert krippendorff_alpha(UNITS, "nominal") == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(UNITS, "interval") == pytest.approx(0.849, abs=5e-4)


def test_by_hand() -> None:
    assert krippendorff_alpha([{"a": 1, "b": 1}, {"a": 2, "b": 2}]) == 1
    # Observed: always 1 apart. Expected: of 4 values, 2 pairs alike and 4 apart, twice each.
    assert krippendorff_alpha([{"a": 1, "b": 2}, {"a": 2, "b": 1}], "nominal") == pytest.approx(
        1 - 1 / (8 / 12)
    )


def test_where_nothing_could_differ_nothing_is_known() -> None:
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha([{"a": 3}, {"a": 5}]) is None  # one rater
    assert krippendorff_alpha([{"a": 3, "b": 3}, {"a": 3, "b": 3}]) is None
