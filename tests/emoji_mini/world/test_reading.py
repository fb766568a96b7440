"""Captions -> scenes: every caption of the world is read back, nothing else is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from anyweave.messages import Modality
from emoji_mini.world.catalogue import BACKGROUNDS, MAX_COUNT, MOTIONS, OBJECTS, RELATIONS, SOUNDS
from emoji_mini.world.draft import modality_of
from emoji_mini.world.reading import scene_of
from emoji_mini.world.scenes import (
    AudioScene,
    ImageScene,
    Scene,
    VideoScene,
    sample_audio,
    sample_image,
    sample_video,
)


def _read(scene: Scene, seed: int = 3) -> Scene | None:
    return scene_of(modality_of(scene), scene.caption, seed)


def test_every_count_of_everything_everywhere() -> None:
    counts = range(1, MAX_COUNT + 1)
    for name, count, place in itertools.product(OBJECTS, counts, BACKGROUNDS):
        scene = ImageScene(object=name, count=count, background=place, seed=3)
        assert _read(scene) == scene


def test_every_relation() -> None:
    names = list(OBJECTS)
    pairs = [*itertools.pairwise(names), *itertools.pairwise(reversed(names))]
    for (one, other), relation in itertools.product(pairs, RELATIONS):
        scene = ImageScene(object=one, relation=relation, other=other, background="night", seed=3)
        assert _read(scene) == scene


def test_every_motion_of_everything() -> None:
    for name, motion, place in itertools.product(OBJECTS, MOTIONS, BACKGROUNDS):
        scene = VideoScene(object=name, motion=motion, background=place, seed=3)
        assert _read(scene) == scene


def test_every_sound_and_every_two_in_order() -> None:
    pairs = itertools.permutations(SOUNDS, 2)
    for sounds in (*((name,) for name in SOUNDS), *pairs):
        scene = _read(AudioScene(sounds=sounds, take=1, seed=9))
        assert isinstance(scene, AudioScene)
        assert (scene.sounds, scene.seed) == (sounds, 3)


@pytest.mark.parametrize("sample", [sample_image, sample_video, sample_audio])
def test_a_sample_comes_back_with_its_caption(sample) -> None:
    rng = np.random.default_rng(0)
    for number in range(300):
        scene = sample(rng, "train")
        found = _read(scene, number)
        assert found is not None and found.caption == scene.caption
        assert found.split == "train"


def test_the_seed_decides_what_captions_do_not_say() -> None:
    caption = "a dog barking"
    takes = {scene_of("audio", caption, seed).take for seed in range(60)}
    assert takes == set(range(8))  # the takes of training, all of them
    assert scene_of("audio", caption, 5) == scene_of("audio", caption, 5)
    assert scene_of("image", "a dog at night", 5) != scene_of("image", "a dog at night", 6)


@pytest.mark.parametrize(
    ("modality", "caption"),
    [
        ("image", ""),
        ("image", " at night"),
        ("image", "a dog"),  # nowhere
        ("image", "a dog in space"),
        ("image", "A dog at night"),
        ("image", "a dog at night."),
        ("image", "a dragon at night"),
        ("image", "an dog at night"),
        ("image", "dogs at night"),
        ("image", "one dog at night"),
        ("image", "five dogs on green grass"),
        ("image", "two dog on green grass"),
        ("image", "a dog beside a cat at night"),
        ("image", "a dog left of two cats at night"),
        ("image", "a dog left of a cat above a fox at night"),
        ("image", "a dog spinning on green grass"),  # a clip's
        ("image", "a dog barking"),  # a sound's
        ("video", ""),
        ("video", "a dog on green grass"),
        ("video", "a dog flying at night"),
        ("video", "two dogs spinning at night"),
        ("video", "a dog spinning"),
        ("video", "a dragon spinning at night"),
        ("video", "spinning at night"),
        ("audio", ""),
        ("audio", "a dog"),
        ("audio", "a dog meowing"),
        ("audio", "a dog at night"),
        ("audio", "a dog barking then"),
        ("audio", "a dog barking and a cat meowing"),
        ("audio", "a dog barking then a cat meowing then a cow mooing"),
    ],
)
def test_nothing_else_is_read(modality: Modality, caption: str) -> None:
    assert scene_of(modality, caption) is None
