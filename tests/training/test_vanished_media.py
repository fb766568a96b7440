"""Media that vanish or break, before a run or in it: skipped, counted, told; the run goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyweave import media
from anyweave.data import MessagesJsonl, Records, write_messages
from anyweave.data.mixture import Reading
from anyweave.media import isolation
from anyweave.messages import Image, Message
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


@pytest.mark.parametrize(("source", "workers"), [(MessagesJsonl, 0), (Records, 1)])
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

        def reading(self, index: int, *, warn: bool = True) -> Reading:
            self.reads += 1
            if self.reads == 4 + 6:  # in the second epoch; at first all four are looked at
                if broken:
                    pictures[2].write_bytes(pictures[2].read_bytes()[:50])
                else:
                    pictures[2].unlink()
            return super().reading(index, warn=warn)

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
    with pytest.raises(ValueError, match=r"nothing was learned in 4 steps, and no model .*0\.png"):
        Trainer(plain_model(), run, data).train()
    assert not (Path(run.output_dir) / "model").exists()


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


@pytest.mark.parametrize(
    "error",
    [ValueError("mean must have 1 elements"), ZeroDivisionError()],
)
def test_what_an_encoder_cannot_prepare_is_left_out_by_name(
    plain_model: MakeModel,
    config: MakeConfig,
    file: Path,
    pictures: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    model = plain_model()
    encoder = model.processor.encoders["image"]
    prepare, bad = encoder.preprocess, media.load(Image(pictures[2]))

    def preprocess(modality: Any, array: Any, *, rate: float | None = None) -> Any:
        if np.array_equal(array, bad):
            raise error
        return prepare(modality, array, rate=rate)

    monkeypatch.setattr(encoder, "preprocess", preprocess)
    run = config("encoding_alignment", steps=4, data=ONE_BY_ONE)
    report = Trainer(model, run, MessagesJsonl(file)).train()
    assert report.samples == 3
    (problem,) = report.skipped
    assert f"{pictures[2]}: the image encoder cannot prepare it" in problem


def test_what_a_frozen_part_cannot_take_ends_the_run_with_its_name(
    plain_model: MakeModel,
    config: MakeConfig,
    file: Path,
    pictures: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    model = plain_model()

    def encode(*_: Any) -> Any:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(model, "encode", encode)
    run = config("encoding_alignment", data=ONE_BY_ONE, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ValueError, match=r"image encoder cannot take one of .*0\.png: shape mis"):
        Trainer(model, run, MessagesJsonl(file)).train()


@pytest.mark.parametrize("too_long", [False, True])
def test_a_run_that_teaches_nothing_writes_no_model(
    plain_model: MakeModel, config: MakeConfig, too_long: bool
) -> None:
    """Every row too long, or in stage 1 no media for the input projector."""
    data = [[Message("user", "x" * 90), Message("assistant", "y")] for _ in range(6)]
    run = config("encoding_alignment", data={"max_length": 40 if too_long else 512})
    why = "none of 6 conversations could be used .*too long" if too_long else "input_projectors"
    with pytest.raises(ValueError, match=f"nothing was learned in 3 steps, .*{why}"):
        Trainer(plain_model(), run, data).train()
    assert not (Path(run.output_dir) / "model").exists()


def test_what_was_cut_is_counted_and_told(plain_model: MakeModel, config: MakeConfig) -> None:
    long = [Message("user", "hi"), Message("assistant", ["y" * 60, Image(caption="a cat")])]
    short = [Message("user", "hi"), Message("assistant", "hello")]
    run = config("decoding_alignment", steps=4, data={**ONE_BY_ONE, "max_length": 60})
    report = Trainer(plain_model(), run, [long, short]).train()
    assert report.samples == 4 and report.skipped == {}
    lost = plain_model().processor.length(long) - 60
    assert report.cut == {"conversations": 2, "tokens": 2 * lost, "media": 2}


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
    trainer = Trainer(plain_model(), run, MessagesJsonl(file))
    if workers:
        with pytest.raises(ValueError, match="none of 4 conv.*png: decoding it ends the process"):
            trainer.train()
    else:
        report = trainer.train()
        assert report.samples == 3 and pictures[1].name in next(iter(report.skipped))
