"""Another decoder by folder: sizes found by themselves, a new bridge, told; all else as it was."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

import anyweave as aw
from anyweave.generation import GenerationOptions
from anyweave.model import DecoderSpec, NextGPT
from anyweave.model.checkpoint import load_pretrained
from anyweave.testing.decoders import tiny_decoder, write_tiny_decoder
from anyweave.testing.model import tiny_model

ONE_STEP = GenerationOptions(temperature=0, max_new_tokens=2, seed=0, num_inference_steps=1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    model = tiny_model()
    for role in ("input_projectors", "output_projectors"):
        for parameter in model.parameters_of(role).values():
            parameter.data.normal_(std=0.1)  # trained: not what a seed gives
    return model.save_pretrained(folder / "model")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 32 pixels in 7 steps by 5 conditioning tokens: nothing as the tiny model has."""
    folder = tmp_path_factory.mktemp("other") / "decoder"
    decoder = tiny_decoder("image", seed=5)
    decoder.tokenizer.model_max_length = 5
    decoder.defaults = type(decoder.defaults)(height=32, width=32, num_inference_steps=7)
    decoder.save_pretrained(folder)
    return folder


@pytest.fixture
def swapped(checkpoint: Path, other: Path) -> NextGPT:
    return aw.load(checkpoint, decoders={"image": other})


def test_sizes_are_found_by_themselves(swapped: NextGPT, other: Path) -> None:
    assert swapped.spec.decoders["image"] == DecoderSpec(
        source=str(other), conditioning_tokens=5, conditioning_dim=32, num_inference_steps=7
    )
    assert swapped.decoders["image"].conditioning_shape == (5, 32)
    (picture,) = swapped.chat(ONE_STEP).reply("a fox", force=("image",)).images
    assert picture.size == (32, 32)


def test_the_bridge_is_new_and_all_else_is_as_it_was(swapped: NextGPT, checkpoint: Path) -> None:
    before = aw.load(checkpoint)
    for role in ("input_projectors", "signal_rows", "lora"):
        old, new = before.parameters_of(role), swapped.parameters_of(role)
        assert old.keys() == new.keys()
        assert all(torch.equal(old[name], new[name]) for name in old)
    old, new = (m.parameters_of("output_projectors") for m in (before, swapped))
    for name in old:
        same = old[name].shape == new[name].shape and torch.equal(old[name], new[name])
        assert same == (not name.startswith("image.")), name
    assert before.spec.decoders["audio"] == swapped.spec.decoders["audio"]


@pytest.mark.parametrize(
    ("bridge", "told"),
    [
        (None, "The bridge of image is untrained until stage 2"),
        ("caption", "The bridge is the caption, which works at once"),
    ],
)
def test_it_is_told(
    checkpoint: Path,
    other: Path,
    bridge: str | None,
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        model = load_pretrained(checkpoint, decoders={"image": other}, bridge=bridge)  # type: ignore[arg-type]
    (record,) = caplog.records
    assert told in record.getMessage() and str(other) in record.getMessage()
    if bridge == "caption":
        reply = model.chat(ONE_STEP).reply("a fox", force=("image",))
        assert isinstance(reply.media("image")[0].source, np.ndarray)


def test_it_is_saved_and_trained_as_any_model(
    swapped: NextGPT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: Path
) -> None:
    saved = swapped.save_pretrained(tmp_path / "saved")
    again = aw.load(saved)
    assert again.spec.decoders["image"].sha256 is not None
    old, new = (m.parameters_of("output_projectors") for m in (swapped, again))
    assert all(torch.equal(old[name], new[name]) for name in old)
    picture = aw.Image(np.zeros((16, 16, 3), np.uint8), caption="a dot")
    every = ["objective.denoising_fraction=1"]
    lesson = [aw.Message("user", "a dot"), aw.Message("assistant", ["Here:", picture])]
    report = aw.train(
        again, [lesson] * 2, stage=2, output=tmp_path / "run", steps=1, settings=every
    )
    assert {"alignment/image", "denoising/image"} <= set(report.losses)
    assert aw.load(tmp_path / "run" / "model").spec.decoders["image"].source == str(other)


def test_a_relative_folder_is_the_callers_own(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a spec "./x" is a part of the checkpoint; what a caller writes is relative to here."""
    write_tiny_decoder(tmp_path / "mine", "audio", seed=3)
    monkeypatch.chdir(tmp_path)
    model = aw.load(checkpoint, decoders={"audio": "./mine"})
    assert model.spec.decoders["audio"].source == str(tmp_path / "mine")
    assert model.spec.output_projectors["audio"].normalize  # conditioned by one vector


def test_what_cannot_be_swapped(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names 'smell', which tiny does not make; it makes image"):
        aw.load(checkpoint, decoders={"smell": tmp_path})
    with pytest.raises(ValueError, match="is not a decoder folder: unet/config.json is missing"):
        aw.load(checkpoint, decoders={"image": tmp_path})
    with pytest.raises(ValueError, match="the weights of the image decoder, no/such, are not on"):
        aw.load(checkpoint, decoders={"image": "no/such"})
