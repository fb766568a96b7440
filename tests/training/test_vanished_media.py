"""Media that vanish or break, before a run or in it: skipped, counted, told; the run goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anyweave import media
from anyweave.data import MessagesJsonl, Records, write_messages
from anyweave.media import isolation
from anyweave.messages import Conversation, Image, Message
from anyweave.model import NextGPT
from anyweave.testing.conversations import tiny_media
from anyweave.training.config import TrainConfig
from anyweave.training.trainer import Trainer

MakeModel = Callable[[], NextGPT]
MakeConfig = Callable[..., TrainConfig]
ONE_BY_ONE = {"batch_size": 1, "shuffle": False, "bucketing": False}


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        media.save("image", tiny_media("image", number).source, path)
    return paths


@pytest.fixture
def file(tmp_path: Path, pictures: list[Path]) -> Path:
    asked = [Message("user", [Image(path), "what is it?"]) for path in pictures]
    conversations = [[message, Message("assistant", "noise")] for message in asked]
    write_messages(conversations, tmp_path / "train.jsonl")
    return tmp_path / "train.jsonl"


@pytest.mark.parametrize("source", [MessagesJsonl, Records])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_medium_that_is_gone_when_the_run_begins(
    plain_model: MakeModel,
    config: MakeConfig,
    file: Path,
    pictures: list[Path],
    source: Callable[[Path], MessagesJsonl],
    workers: int,
) -> None:
    data = source(file)
    pictures[1].unlink()
    run = config("encoding_alignment", steps=8, data={"batch_size": 1, "num_workers": workers})
    report = Trainer(plain_model(), run, data).train()
    assert report.finished and report.samples == 6
    (problem,) = report.skipped  # twice the same, in two epochs
    assert report.skipped[problem] == 2
    assert problem.startswith("item 1: ") and "no such media file" in problem
    assert str(pictures[1]) in problem and f"{file}:2" in problem


@pytest.mark.parametrize("broken", [False, True])
def test_a_medium_that_vanishes_or_breaks_while_the_run_goes_on(
    plain_model: MakeModel, config: MakeConfig, file: Path, pictures: list[Path], broken: bool
) -> None:
    class Decaying(MessagesJsonl):
        reads = 0

        def __getitem__(self, index: int) -> Conversation:
            self.reads += 1
            if self.reads == 6:  # in the second epoch
                if broken:
                    pictures[2].write_bytes(pictures[2].read_bytes()[:50])
                else:
                    pictures[2].unlink()
            return super().__getitem__(index)

    run = config("encoding_alignment", steps=12, data=ONE_BY_ONE)
    report = Trainer(plain_model(), run, Decaying(file)).train()
    assert report.finished and report.samples == 10
    assert sum(report.skipped.values()) == 2 and pictures[2].name in next(iter(report.skipped))


def test_a_run_of_which_nothing_is_left_ends_and_says_so(
    plain_model: MakeModel, config: MakeConfig, file: Path, pictures: list[Path]
) -> None:
    data = MessagesJsonl(file)
    for path in pictures:
        path.unlink()
    run = config("encoding_alignment", steps=8, data=ONE_BY_ONE)
    report = Trainer(plain_model(), run, data).train()
    assert report.steps == 8 and report.samples == 0 and sum(report.skipped.values()) == 8
    assert len(report.skipped) == 4


def test_a_medium_that_vanishes_behind_the_cache(
    plain_model: MakeModel, config: MakeConfig, file: Path, pictures: list[Path], tmp_path: Path
) -> None:
    """Features are found by the content of the file: without it there are none."""
    cache = str(tmp_path / "cache")
    run = config("encoding_alignment", run="first", steps=4, data=ONE_BY_ONE, cache_dir=cache)
    assert Trainer(plain_model(), run, MessagesJsonl(file)).train().skipped == {}
    pictures[0].unlink()
    run = config("encoding_alignment", run="second", steps=4, data=ONE_BY_ONE, cache_dir=cache)
    report = Trainer(plain_model(), run, MessagesJsonl(file)).train()
    assert report.samples == 3 and list(report.skipped.values()) == [1]


DYING = """
import os, sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
connection.send("ready")
connection.recv()
os.abort()
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_a_medium_that_no_reader_survives_is_one_skipped_item(
    plain_model: MakeModel,
    config: MakeConfig,
    file: Path,
    pictures: list[Path],
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without workers the process itself reads, within the limits; a worker's child may die."""
    if workers:
        monkeypatch.setattr(isolation, "_START", DYING)
    else:
        flat = np.zeros((1, 600, 3), np.uint8)  # too elongated for the encoder
        media.save("image", flat, pictures[1])
    run = config("encoding_alignment", steps=4, data={**ONE_BY_ONE, "num_workers": workers})
    report = Trainer(plain_model(), run, MessagesJsonl(file)).train()
    if workers:
        assert len(report.skipped) == 4
        assert all("png: decoding it ends the process" in problem for problem in report.skipped)
    else:
        assert report.samples == 3 and pictures[1].name in next(iter(report.skipped))
