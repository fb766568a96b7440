"""Verifiers are right about real renders of test scenes, and refuse to be missing quietly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emoji_mini.world.render import render
from emoji_mini.world.scenes import sample_audio, sample_image, sample_video
from emoji_mini.world.verifiers import (
    FOLDER,
    AudioVerdict,
    ImageVerdict,
    Verifiers,
    accuracy,
    load_verifiers,
)
from emoji_mini.world.verifiers.networks import (
    AudioVerifier,
    ImageVerifier,
    VideoVerifier,
    mel_filters,
)
from emoji_mini.world.verifiers.training import train_verifiers

MODALITIES = ("image", "video", "audio")
shipped = pytest.mark.skipif(
    not all((FOLDER / f"{name}.safetensors").is_file() for name in MODALITIES),
    reason="verifier weights are not here",
)
NUMBER = 40


@pytest.fixture(scope="module")
def verifiers() -> Verifiers:
    return load_verifiers()


@shipped
def test_pictures(verifiers: Verifiers) -> None:
    rng = np.random.default_rng(11)
    scenes = [sample_image(rng, "test", relation_share=0.3) for _ in range(NUMBER)]
    right = 0
    for scene, seen in zip(
        scenes, verifiers.judge_images([render(s) for s in scenes]), strict=True
    ):  # type: ignore[misc]
        if scene.relation is None or scene.other is None:
            right += seen.object == scene.object and seen.count == scene.count
        else:
            right += seen.relation_holds(scene.object, scene.relation, scene.other)
            assert not seen.relation_holds(scene.other, scene.relation, scene.object)
    assert right >= 0.9 * NUMBER


@shipped
def test_clips(verifiers: Verifiers) -> None:
    rng = np.random.default_rng(12)
    scenes = [sample_video(rng, "test") for _ in range(NUMBER)]
    verdicts = verifiers.judge_videos([render(scene) for scene in scenes])  # type: ignore[misc]
    right = [v.object == s.object for s, v in zip(scenes, verdicts, strict=True)]
    moved = [v.motion == s.motion for s, v in zip(scenes, verdicts, strict=True)]
    assert sum(right) >= 0.85 * NUMBER and sum(moved) >= 0.85 * NUMBER


@shipped
def test_sounds(verifiers: Verifiers) -> None:
    rng = np.random.default_rng(13)
    scenes = [sample_audio(rng, "test") for _ in range(NUMBER)]
    verdicts = verifiers.judge_audios([render(scene) for scene in scenes])  # type: ignore[misc]
    right = [v.holds(s.sounds) for s, v in zip(scenes, verdicts, strict=True)]
    assert sum(right) >= 0.8 * NUMBER


@shipped
def test_any_size_is_judged(verifiers: Verifiers) -> None:
    pictures = [np.zeros((96, 128, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)]
    assert len(verifiers.judge_images(pictures)) == 2
    assert len(verifiers.judge_videos([np.zeros((3, 32, 32, 3), np.uint8)])) == 1
    assert len(verifiers.judge_audios([np.zeros(100, np.float32)])) == 1


@shipped
def test_shipped_weights_are_small_and_measured() -> None:
    measured = accuracy()
    for name in MODALITIES:
        assert (FOLDER / f"{name}.safetensors").stat().st_size < 1.5e6
        assert {"clean", "softened"} <= set(measured[name])
        assert all(score["trials"] > 0 for score in measured[name]["clean"].values())


def test_missing_weights_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="anyweave train"):
        load_verifiers(tmp_path)
    with pytest.raises(ValueError, match="anyweave train"):
        accuracy(tmp_path)


def test_network_shapes() -> None:
    out = ImageVerifier().eval()(torch.zeros(2, 3, 64, 64))
    assert out.presence.shape == (2, 64) and out.sides.shape == (2, 4, 64)
    assert out.count.shape == (2, 4) and out.background.shape == (2, 6)
    clip = VideoVerifier().eval()(torch.zeros(2, 8, 3, 64, 64))
    assert clip.presence.shape == (2, 64) and clip.motion.shape == (2, 7)
    network = AudioVerifier().eval()
    mel = network.log_mel(torch.zeros(2, 32_768))
    assert mel.shape == (2, 1, 64, 128)
    assert network(mel).halves.shape == (2, 2, 24)


def test_every_mel_filter_hears_something() -> None:
    filters = mel_filters()
    assert filters.shape == (64, 513)
    assert bool((filters.sum(1) > 0).all())


def test_verdicts() -> None:
    picture = ImageVerdict(
        presence={"dog": 0.9, "cat": 0.8, "cow": 0.1},
        sides=({"dog": 0.9, "cat": 0.1}, {"dog": 0.2, "cat": 0.7}, *[{"dog": 0.0, "cat": 0.0}] * 2),
        count=2,
        background="white",
    )
    assert picture.object == "dog" and picture.shows("cat") and not picture.shows("cow")
    assert picture.relation_holds("dog", "left of", "cat")
    assert picture.relation_holds("cat", "right of", "dog")
    assert not picture.relation_holds("cat", "left of", "dog")
    assert not picture.relation_holds("dog", "above", "cat")
    sound = AudioVerdict(
        presence={"dog": 0.9, "bell": 0.8},
        halves=({"dog": 0.9, "bell": 0.1}, {"dog": 0.1, "bell": 0.6}),
    )
    assert sound.order == ("dog", "bell")
    assert sound.holds(("dog",)) and sound.holds(("dog", "bell"))
    assert not sound.holds(("bell", "dog")) and not sound.holds(("bell",))


def test_training_writes_weights_and_their_accuracy(tmp_path: Path) -> None:
    report = train_verifiers(
        tmp_path, which=("image", "video"), num_samples=64, num_train=8, num_test=8
    )
    assert report["image"]["clean"]["count"]["trials"] == 8
    assert (tmp_path / "video.safetensors").is_file()
    assert accuracy(tmp_path) == report
