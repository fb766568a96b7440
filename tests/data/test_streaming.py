"""The computed order: what it visits, in which strides, and that it may be entered anywhere."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyweave.data import Mixture
from anyweave.data.order import Permutation, ShuffledOrder


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 100, 1025])
def test_a_permutation_moves_everything_to_one_place_of_its_own(size: int) -> None:
    moved = Permutation(size, 4, 2)(np.arange(size))
    assert sorted(moved) == list(range(size))


def test_permutations_differ_by_seed_and_are_the_same_on_every_machine() -> None:
    places = np.arange(12)
    assert Permutation(12, 1, 2)(places).tolist() == PINNED
    assert Permutation(12, 1, 3)(places).tolist() != PINNED != Permutation(12, 2)(places).tolist()


PINNED = [0, 11, 3, 4, 1, 9, 5, 10, 8, 6, 2, 7]


def test_a_permutation_is_fair() -> None:
    """Chi-squared of which item comes where; 49 degrees of freedom, 95 is 5 sigma."""
    counts, trials = np.zeros((8, 8)), 400
    for seed in range(trials):
        counts[np.arange(8), Permutation(8, seed)(np.arange(8))] += 1
    assert ((counts - trials / 8) ** 2 / (trials / 8)).sum() < 99


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), min_size=1, max_size=4),
    st.integers(1, 60),
    st.integers(1, 9),
    st.integers(0, 50),
)
def test_shares_are_exact_and_sources_used_up(
    sources: list[tuple[int, int]], length: int, block: int, more: int
) -> None:
    lists = {str(i): [(i, j) for j in range(size)] for i, (size, _) in enumerate(sources)}
    weights = {str(i): weight for i, (_, weight) in enumerate(sources)}
    mixture = Mixture(lists, weights=weights, length=length, block=block, buffer=block + more)
    drawn: Counter[tuple[int, int]] = Counter()
    for epoch in range(3):
        items = list(mixture.epoch(epoch))
        by_source = Counter(str(number) for number, _ in items)
        assert by_source == Counter(mixture.counts)  # a count of 0 is equal to none
        drawn.update(items)
    for name, items in lists.items():
        uses = [drawn[item] for item in items]
        assert max(uses) - min(uses) <= 1, name


def test_every_record_once_an_epoch_and_epochs_differ() -> None:
    mixture = Mixture({"a": range(100), "b": range(100, 137)}, buffer=32, block=4)
    first, second = list(mixture.epoch(0)), list(mixture.epoch(1))
    assert sorted(first) == sorted(second) == list(range(137))
    assert first != second
    again = Mixture({"a": range(100), "b": range(100, 137)}, buffer=32, block=4)
    assert list(again.epoch(1)) == second


@pytest.mark.parametrize("position", [(0, 0), (0, 31), (1, 32), (2, 136)])
def test_a_position_resumes_exactly(position: tuple[int, int]) -> None:
    def make() -> Mixture[int]:
        return Mixture(
            {"a": range(100), "b": range(37)}, weights={"a": 1, "b": 3}, buffer=32, block=4
        )

    through, entered = make(), make()
    whole = [through.at(epoch, index) for epoch in range(3) for index in range(137)]
    start = position[0] * 137 + position[1]
    found = [entered.at(*divmod(place, 137)) for place in range(start, min(start + 40, 411))]
    assert found == whole[start : start + 40]


def test_reading_goes_in_strides() -> None:
    order = ShuffledOrder(["a"], [10_000], [10_000], seed=0, block=50, buffer=500)
    window = sorted(order.locate(0, index)[1] for index in range(500))
    strides = 1 + sum(later - earlier > 1 for earlier, later in itertools.pairwise(window))
    assert strides <= 10 and window[-1] - window[0] > 5_000
    assert [order.locate(0, index)[1] for index in range(500)] != window  # shuffled within


def test_entering_an_epoch_of_a_thousand_million_costs_nothing() -> None:
    order = ShuffledOrder(["a"], [10**9], [10**9], seed=0, block=64, buffer=256)
    assert 0 <= order.locate(7, 500_000_000)[1] < 10**9
    assert len(order._windows) == 1


def test_a_block_fits_into_the_buffer() -> None:
    with pytest.raises(ValueError, match="block must be from 1 to buffer=8, got block=64"):
        Mixture({"a": range(9)}, buffer=8)
