from __future__ import annotations

import random
from collections import Counter

import pytest

from anyweave.data import Mixture
from anyweave.messages import Message
from anyweave.training.config import ObjectiveConfig, OptimizerConfig
from anyweave.training.objective import pays_denoising
from anyweave.training.optim import schedule_factor
from anyweave.training.plan import BatchPlan, Lengths, step_seed, total_steps
from anyweave.training.stages import ENCODING_ALIGNMENT, INSTRUCTION_TUNING


def _epoch(plan: BatchPlan, number: int, rank: int = 0) -> list[int]:
    first = number * plan.steps_per_epoch
    steps = range(first, first + plan.steps_per_epoch)
    return [index for step in steps for micro in plan.step(step, rank) for index in micro]


def test_an_epoch_visits_everything_once_and_epochs_differ() -> None:
    plan = BatchPlan(size=12, batch_size=2, accumulation=2, seed=1)
    assert plan.steps_per_epoch == 3
    assert sorted(_epoch(plan, 0)) == list(range(12))
    assert sorted(_epoch(plan, 1)) == list(range(12))
    assert _epoch(plan, 0) != _epoch(plan, 1)


def test_a_step_depends_on_nothing_but_its_number() -> None:
    one, other = (BatchPlan(size=40, batch_size=4, seed=7) for _ in range(2))
    for number in (13, 2, 25):
        other.step(number)
    assert [one.step(number) for number in range(30)] == [
        other.step(number) for number in range(30)
    ]


def test_processes_share_a_batch_without_overlap() -> None:
    single = BatchPlan(size=24, batch_size=4, seed=3)
    pair = BatchPlan(size=24, batch_size=2, world=2, seed=3)
    for number in range(12):
        both = [index for rank in (0, 1) for index in pair.step(number, rank)[0]]
        assert sorted(both) == sorted(single.step(number)[0])


def test_bucketing_puts_equal_lengths_together() -> None:
    lengths = [1, 100] * 32
    plan = BatchPlan(size=64, batch_size=4, lengths=lambda epoch, items: lengths)
    for number in range(plan.steps_per_epoch):
        (batch,) = plan.step(number)
        assert len({lengths[index] for index in batch}) == 1


def test_a_source_smaller_than_a_batch_still_gives_steps() -> None:
    plan = BatchPlan(size=3, batch_size=8)
    assert plan.steps_per_epoch == 1
    assert sorted(plan.step(0)[0]) == sorted(plan.step(5)[0]) == [0, 1, 2]


def test_unshuffled_keeps_the_order() -> None:
    assert _epoch(BatchPlan(size=6, batch_size=2, shuffle=False), 1) == list(range(6))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("size", "batch_size", "world", "accumulation"),
    [(100, 8, 1, 1), (250, 18, 1, 1), (500, 8, 4, 1), (70, 8, 1, 3), (300, 8, 2, 2), (9, 2, 1, 1)],
)
def test_whoever_waits_in_one_epoch_is_chosen_by_chance(
    size: int, batch_size: int, world: int, accumulation: int, shuffle: bool, streamed: bool
) -> None:
    plan = BatchPlan(
        size=size,
        batch_size=batch_size,
        world=world,
        accumulation=accumulation,
        lengths=lambda epoch, items: [10 + index for index in items],
        shuffle=shuffle,
        streamed=streamed,
        window=4,
    )
    epochs = 60
    seen: Counter[int] = Counter()
    for epoch in range(epochs):
        # The items of a stream stand in another order in every epoch.
        items = random.Random(epoch).sample(range(size), size) if streamed else range(size)
        for rank in range(world):
            seen.update(items[place] for place in _epoch(plan, epoch, rank))
    used = plan.steps_per_epoch * accumulation * batch_size * world
    assert seen.total() == epochs * used
    share = used / size
    assert share > 0.5
    # Everybody has the same chance: a binomial that is off by more than six deviations is none.
    slack = 6 * (epochs * share * (1 - share)) ** 0.5 + 1
    assert all(abs(seen[index] - epochs * share) <= slack for index in range(size))


@pytest.mark.parametrize("mixed", [False, True])
def test_items_are_measured_once(mixed: bool) -> None:
    read = Counter[int]()

    class Counting:
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> list[Message]:
            read[index] += 1
            return [Message("user", "x" * index)]

    source = Mixture({"some": Counting(), "same": Counting()}) if mixed else Counting()
    plan = BatchPlan(size=len(source), batch_size=3, lengths=Lengths(source))
    for epoch in range(4):
        _epoch(plan, epoch)
    assert read == dict.fromkeys(range(20), 2 if mixed else 1)


def test_sources_may_change_by_epoch_and_know_lengths() -> None:
    class OneEpoch(list):
        def length(self, index: int) -> int:
            return 10 * self[index]

    class Changing:
        def __len__(self) -> int:
            return 2

        def epoch(self, number: int) -> OneEpoch:
            return OneEpoch([number, number + 1])

    assert Lengths(Changing())(3, range(2)) == (30, 40)


def test_total_steps() -> None:
    plan = BatchPlan(size=10, batch_size=2)
    assert total_steps(plan, 7, None) == 7
    assert total_steps(plan, None, 2.5) == 13


def test_seeds_differ_by_every_part() -> None:
    assert len({step_seed(0, 1), step_seed(1, 0), step_seed(0, 1, 0), step_seed("0/1/0", "")}) == 4


def test_denoising_is_paid_for_on_its_share_of_steps() -> None:
    paid = [
        pays_denoising(step, INSTRUCTION_TUNING, ObjectiveConfig(denoising_fraction=0.3))
        for step in range(100)
    ]
    assert sum(paid) == 30
    assert all(sum(paid[start : start + 10]) == 3 for start in range(0, 100, 10))
    assert not pays_denoising(0, ENCODING_ALIGNMENT, ObjectiveConfig())


def test_schedules() -> None:
    linear = OptimizerConfig(warmup_ratio=0.2)
    assert [round(schedule_factor(s, 10, linear), 3) for s in (0, 1, 2, 6, 9)] == [
        0.5,
        1,
        1,
        0.5,
        0.125,
    ]
    constant = OptimizerConfig(warmup_ratio=0, schedule="constant")
    assert schedule_factor(9, 10, constant) == 1
    cosine = OptimizerConfig(warmup_ratio=0, schedule="cosine")
    assert round(schedule_factor(5, 10, cosine), 6) == 0.5
