"""A mixture's order depends on seed, epoch and index alone, and its shares are exact."""

import itertools
import pickle
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyweave.data import Mixture

SOURCES = {
    "pairs": [f"pair {i}" for i in range(50)],
    "talks": [f"talk {i}" for i in range(7)],
    "clips": [f"clip {i}" for i in range(20)],
}


def test_without_weights_every_sample_comes_once_an_epoch() -> None:
    mixture = Mixture(SOURCES, seed=1)
    assert len(mixture) == 77
    for epoch in range(3):
        assert sorted(mixture.epoch(epoch)) == sorted(itertools.chain(*SOURCES.values()))
    assert list(mixture.epoch(0)) != list(mixture.epoch(1))


def test_weights_give_exact_shares() -> None:
    weights = {"pairs": 1, "talks": 2, "clips": 1}
    mixture = Mixture(SOURCES, weights=weights, seed=1, length=40)
    assert mixture.counts == {"pairs": 10, "talks": 20, "clips": 10}
    drawn = Counter(mixture.locate(5, index)[0] for index in range(40))
    assert drawn == mixture.counts


def test_a_source_is_used_up_before_it_repeats() -> None:
    mixture = Mixture(SOURCES, weights={"pairs": 1, "talks": 1, "clips": 1}, length=30)
    drawn = [item for epoch in range(5) for item in mixture.epoch(epoch) if "pair" in item]
    assert sorted(drawn) == sorted(SOURCES["pairs"])  # 5 epochs of 10 are one pass of 50
    talks = Counter(item for epoch in range(7) for item in mixture.epoch(epoch) if "talk" in item)
    assert set(talks.values()) == {10}


def test_the_order_is_the_seed_s() -> None:
    first, again = Mixture(SOURCES, seed=3), Mixture(SOURCES, seed=3)
    assert list(first.epoch(4)) == list(again.epoch(4))
    assert list(first.epoch(4)) != list(Mixture(SOURCES, seed=4).epoch(4))


def test_the_order_is_the_same_on_every_machine_and_release() -> None:
    mixture = Mixture({"a": range(4), "b": range(100, 103)}, seed=0)
    assert list(mixture.epoch(0)) == PINNED[0] and list(mixture.epoch(1)) == PINNED[1]


PINNED: list[list[int]] = [[0, 100, 1, 101, 102, 3, 2], [101, 2, 1, 102, 3, 100, 0]]


def test_another_source_leaves_the_order_within_a_source_alone() -> None:
    def pairs(sources: dict[str, list[str]]) -> list[str]:
        mixture = Mixture(sources, seed=2)
        return [item for item in mixture.epoch(0) if "pair" in item]

    assert pairs(SOURCES) == pairs({"new": ["x"] * 9, **SOURCES})


def test_reading_in_any_order_is_the_same() -> None:
    mixture = Mixture(SOURCES, weights={"pairs": 1, "talks": 9, "clips": 1}, seed=5)
    places = [(epoch, index) for epoch in (1, 0, 2) for index in reversed(range(len(mixture)))]
    backwards = {place: mixture.at(*place) for place in places}
    mixture = pickle.loads(pickle.dumps(mixture))  # as data workers get it
    assert mixture.at(2, 70) == backwards[2, 70]
    forwards = Mixture(SOURCES, weights={"pairs": 1, "talks": 9, "clips": 1}, seed=5)
    assert all(forwards.at(*place) == item for place, item in backwards.items())


def test_the_sources_are_mixed_not_one_after_another() -> None:
    names = [Mixture(SOURCES).locate(0, index)[0] for index in range(77)]
    assert len(list(itertools.groupby(names))) > 20


@given(
    st.lists(st.tuples(st.integers(1, 12), st.floats(0.01, 100)), min_size=1, max_size=5),
    st.integers(1, 60),
    st.integers(0, 2**31),
)
def test_shares_always_add_up(sources: list[tuple[int, float]], length: int, seed: int) -> None:
    lists = {str(i): [(i, j) for j in range(size)] for i, (size, _) in enumerate(sources)}
    weights = {str(i): weight for i, (_, weight) in enumerate(sources)}
    mixture = Mixture(lists, weights=weights, seed=seed, length=length)
    total = sum(weights.values())
    assert sum(mixture.counts.values()) == length == len(list(mixture.epoch(0)))
    for name, count in mixture.counts.items():
        assert abs(count - length * weights[name] / total) < 1
    drawn = Counter(item for epoch in range(3) for item in mixture.epoch(epoch))
    for name, items in lists.items():  # use within a source differs by one at most
        uses = [drawn[item] for item in items]
        assert max(uses) - min(uses) <= 1, name


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"sources": {}}, "needs at least one source"),
        ({"sources": {"a": []}}, "the source 'a' is empty; remove it"),
        (
            {"sources": {"a": [1]}, "weights": {"b": 1}},
            r"weights are for \['b'\], sources are \['a'\]",
        ),
        ({"sources": {"a": [1]}, "weights": {"a": 0}}, "weight of 'a' must be positive, got 0"),
        ({"sources": {"a": [1]}, "weights": {"a": float("nan")}}, "must be positive, got nan"),
        ({"sources": {"a": [1]}, "length": 0}, "at least one sample, got length=0"),
    ],
)
def test_wrong_mixtures(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Mixture(arguments.pop("sources"), **arguments)


def test_wrong_positions() -> None:
    mixture = Mixture(SOURCES)
    for place in [(0, 77), (0, -1), (-1, 0)]:
        with pytest.raises(IndexError, match="an epoch has 77 samples"):
            mixture.at(*place)
