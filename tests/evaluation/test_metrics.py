"""Metrics against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyweave.evaluation.metrics import Decisions, Proportion, Ratio, wilson_interval


def test_wilson_by_hand() -> None:
    # 8 of 10, z = 1.96: centre (0.8 + 0.19208) / 1.38416, half 1.96 sqrt(0.016 + 0.009604) /
    # 1.38416
    low, high = wilson_interval(8, 10)
    assert low == pytest.approx(0.4902, abs=2e-4)
    assert high == pytest.approx(0.9433, abs=2e-4)
    # With no success the upper end is z^2 / (n + z^2).
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_holds_the_share(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= high <= 1
    if trials:
        assert low - 1e-12 <= successes / trials <= high + 1e-12


def test_impossible_counts() -> None:
    for counts in ((3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="cannot be"):
            wilson_interval(*counts)


def test_proportion() -> None:
    figure = Proportion.of([True, True, False, True])
    assert (figure.successes, figure.trials, figure.share) == (3, 4, 0.75)
    assert figure.to_dict()["trials"] == 4
    assert str(Proportion(0, 0)) == "not tried" and Proportion(0, 0).share is None


def test_ratio_weighs_trials_by_their_size() -> None:
    figure = Ratio.of([(2.0, 1.0), (3.0, 9.0)])
    assert figure.value == pytest.approx(0.5) and figure.trials == 2
    # Resamples: twice the first (2), twice the second (1/3), or both (0.5).
    assert figure.interval == pytest.approx((1 / 3, 2.0))
    assert Ratio.of([(3.0, 2.0)] * 5).interval == pytest.approx((1.5, 1.5))


def test_a_ratio_of_nothing() -> None:
    for pairs in ([], [(1.0, 0.0)]):
        assert Ratio.of(pairs).value is None and Ratio.of(pairs).interval is None


def test_ratio_interval_is_that_of_the_mean() -> None:
    draws = np.random.default_rng(1).normal(5.0, 2.0, 400)
    low, high = Ratio.of((float(x), 1.0) for x in draws).interval or (0.0, 0.0)
    half = 1.96 * draws.std() / 20
    assert (low, high) == pytest.approx((draws.mean() - half, draws.mean() + half), abs=0.05)


def test_decisions_by_hand() -> None:
    counts = Decisions()
    counts = counts.plus({"image"}, {"image"})  # hit
    counts = counts.plus({"image", "audio"}, {"audio", "video"})  # hit, extra, missed
    counts = counts.plus(set(), {"image"})  # extra: a false draw
    counts = counts.plus(set(), set())
    assert (counts.hits, counts.extra, counts.missed) == (2, 2, 1)
    assert counts.precision == pytest.approx(2 / 4)
    assert counts.recall == pytest.approx(2 / 3)
    assert counts.f1 == pytest.approx(4 / 7)
    assert counts.exact_share == Proportion(2, 4)
    assert counts.false_draw_share == Proportion(1, 2)


def test_nothing_counted() -> None:
    empty = Decisions()
    assert empty.precision is None and empty.recall is None and empty.f1 is None
