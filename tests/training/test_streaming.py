"""A streamed source under the trainer: what is read where, and that stopping changes nothing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anyweave.data import stream
from anyweave.messages import Conversation
from anyweave.model import NextGPT
from anyweave.training.config import TrainConfig
from anyweave.training.features import Rendered
from anyweave.training.loading import rendered_steps
from anyweave.training.plan import BatchPlan, Lengths, in_epoch, is_streamed
from anyweave.training.report import read_log
from anyweave.training.trainer import Trainer

MakeModel = Callable[[], NextGPT]
MakeConfig = Callable[..., TrainConfig]
SIZE = 48


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Record n says "n", in three shards."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(3):
        with open(folder / f"{shard}.jsonl", "w") as file:
            for n in range(shard * 16, shard * 16 + 16):
                turns = [("user", str(n)), ("assistant", "word " * (1 + n % 3))]
                messages = [{"role": role, "content": text} for role, text in turns]
                file.write(json.dumps({"messages": messages}) + "\n")
    return folder


class Numbers:
    """Stands for a renderer: an item's number and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.source = stream(folder, "messages", buffer=16, block=4)

    def __call__(self, index: int, *, load_targets: bool, epoch: int = 0) -> Rendered:
        conversation: Conversation = in_epoch(self.source, epoch)[index]
        return Rendered(int(conversation[0].text), None)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
@pytest.mark.parametrize(("workers", "world"), [(1, 2), (3, 1)])
def test_each_record_once_an_epoch(
    shards: Path, config: MakeConfig, workers: int, world: int
) -> None:
    renderer: Any = Numbers(shards)
    run = config(data={"num_workers": workers})
    plan = BatchPlan(size=SIZE, batch_size=2, world=world, accumulation=2, window=3, streamed=True)
    seen: list[list[int]] = [[], []]
    for rank in range(world):
        steps = range(2 * plan.steps_per_epoch)
        for number, rendered in rendered_steps(plan, renderer, run, rank=rank, steps=steps):
            seen[plan.epoch_of(number)] += [item.index for micro in rendered for item in micro]
    assert sorted(seen[0]) == sorted(seen[1]) == list(range(SIZE))
    assert seen[0] != seen[1] != list(range(SIZE))


def test_windows_of_batches_know_lengths_and_stay_together(shards: Path) -> None:
    source = stream(shards, "messages", buffer=16, block=4)
    assert is_streamed(source) and not is_streamed(["a list"])  # type: ignore[list-item]
    asked: list[range] = []

    def lengths(epoch: int, items: range) -> tuple[int, ...]:
        asked.append(items)
        return Lengths(source)(epoch, items)

    def known_length(index: int) -> int:
        length = source.epoch(0).length(index)
        assert length is not None
        return length

    plan = BatchPlan(size=SIZE, batch_size=4, lengths=lengths, window=4, streamed=True)
    for step in range(plan.steps_per_epoch):
        (batch,) = plan.step(step)
        assert all(step // 4 == index // 16 for index in batch)
        sizes = {known_length(index) for index in batch}
        assert max(sizes) - min(sizes) <= 2  # of words, of which a record has one to three
    assert asked == [range(0, 16), range(16, 32), range(32, 48)]
    again = BatchPlan(size=SIZE, batch_size=4, lengths=lengths, window=4, streamed=True)
    assert again.step(9) == plan.step(9) and asked[3:] == [range(32, 48)]


def test_a_stream_smaller_than_a_step_still_gives_steps() -> None:
    plan = BatchPlan(size=3, batch_size=2, accumulation=2, streamed=True)
    assert plan.steps_per_epoch == 1
    assert sorted(index for micro in plan.step(4) for index in micro) == [0, 1, 2]


def test_leftovers_are_left_to_the_next_epoch() -> None:
    plan = BatchPlan(size=11, batch_size=2, window=2, streamed=True)
    seen = [index for step in range(5) for index in plan.step(step)[0]]
    assert len(seen) == len(set(seen)) == 10


def test_resuming_mid_epoch_equals_never_stopping(
    shards: Path, plain_model: MakeModel, config: MakeConfig
) -> None:
    """Stopped after step 5 of the 12 of an epoch, in a window, and continued with data workers."""

    def stop(model: NextGPT, folder: Path, prompts: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def log(run: TrainConfig) -> list[dict[str, Any]]:
        records = read_log(Path(run.output_dir) / "log.jsonl")
        return [{key: value for key, value in r.items() if key != "seconds"} for r in records]

    def source() -> Any:
        return stream(shards, "messages", buffer=16, block=4)

    data = {"batch_size": 4, "bucket_window": 2}
    whole = config("encoding_alignment", run="whole", steps=14, data=data)
    whole = replace(whole, stage=replace(whole.stage, trainable=("signal_rows", "lora")))
    halves = replace(whole, output_dir=f"{whole.output_dir}-halves", sample_every=5)
    Trainer(plain_model(), whole, source()).train()
    report = Trainer(plain_model(), halves, source(), write_samples=stop).train()
    assert report.interrupted and 5 <= report.steps < 12
    helped = replace(halves, data=replace(halves.data, num_workers=2), sample_every=0)
    report = Trainer(plain_model(), helped, source()).train(resume=True)
    assert report.finished and log(halves) == log(whole)
