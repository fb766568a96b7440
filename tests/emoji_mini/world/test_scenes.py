"""Captions are exact: they parse back to their scene, and training never meets a test scene."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from emoji_mini.world.catalogue import (
    BACKGROUNDS,
    MOTIONS,
    NUMBER_WORDS,
    OBJECTS,
    RELATIONS,
    SOUNDS,
)
from emoji_mini.world.render import render
from emoji_mini.world.scenes import (
    AudioScene,
    ImageScene,
    Scene,
    VideoScene,
    sample_audio,
    sample_image,
    sample_video,
    split_of,
)

_NAMES = {kind.with_article: kind.name for kind in OBJECTS.values()}
_PLACES = {phrase: name for name, phrase in BACKGROUNDS.items()}
_PHRASES = {kind.phrase: kind.name for kind in SOUNDS.values()}
SAMPLERS = {"image": sample_image, "video": sample_video, "audio": sample_audio}


def _any(options: object) -> str:
    return "|".join(map(re.escape, sorted(options, key=len, reverse=True)))  # type: ignore[call-overload]


def parse(modality: str, caption: str) -> tuple[object, ...]:
    """The facts of a caption, by the grammar alone."""
    if modality == "audio":
        return tuple(_PHRASES[phrase] for phrase in caption.split(" then "))
    place = f"({_any(_PLACES)})"
    if modality == "video":
        found = re.fullmatch(f"({_any(_NAMES)}) ({_any(MOTIONS)}) {place}", caption)
        assert found, caption
        return _NAMES[found[1]], found[2], _PLACES[found[3]]
    pair = re.fullmatch(f"({_any(_NAMES)}) ({_any(RELATIONS)}) ({_any(_NAMES)}) {place}", caption)
    if pair:
        return _NAMES[pair[1]], pair[2], _NAMES[pair[3]], _PLACES[pair[4]]
    one = re.fullmatch(f"({_any(_NAMES)}) {place}", caption)
    if one:
        return _NAMES[one[1]], 1, _PLACES[one[2]]
    plurals = {kind.plural: kind.name for kind in OBJECTS.values()}
    many = re.fullmatch(f"({_any(NUMBER_WORDS[2:])}) ({_any(plurals)}) {place}", caption)
    assert many, caption
    return plurals[many[2]], NUMBER_WORDS.index(many[1]), _PLACES[many[3]]


def facts(scene: Scene) -> tuple[object, ...]:
    if isinstance(scene, AudioScene):
        return scene.sounds
    if isinstance(scene, VideoScene):
        return scene.object, scene.motion, scene.background
    if scene.relation is not None:
        return scene.object, scene.relation, scene.other, scene.background
    return scene.object, scene.count, scene.background


@pytest.mark.parametrize("modality", SAMPLERS)
def test_captions_parse_back_to_their_scene(modality: str) -> None:
    rng = np.random.default_rng(3)
    for split in ("train", "test"):
        for _ in range(100):
            scene = SAMPLERS[modality](rng, split)
            assert parse(modality, scene.caption) == facts(scene)


def test_captions_are_unique() -> None:
    images = [
        ImageScene(object=name, count=count, background=background).caption
        for name, count, background in itertools.product(OBJECTS, range(1, 5), BACKGROUNDS)
    ]
    videos = [
        VideoScene(object=name, motion=motion, background=background).caption
        for name, motion, background in itertools.product(OBJECTS, MOTIONS, BACKGROUNDS)
    ]
    assert len({*images, *videos}) == len(images) + len(videos)


@pytest.mark.parametrize("modality", SAMPLERS)
def test_samples_keep_to_their_split(modality: str) -> None:
    seen: dict[str, set[tuple[object, ...]]] = {}
    for split in ("train", "test"):
        rng = np.random.default_rng(5)
        scenes = [SAMPLERS[modality](rng, split) for _ in range(150)]
        assert {scene.split for scene in scenes} == {split}
        if modality == "video":  # combinations are of object and motion, on any background
            seen[split] = {(scene.object, scene.motion) for scene in scenes}
        elif modality == "image":
            seen[split] = {facts(scene) for scene in scenes if scene.relation is None}
        else:
            seen[split] = {(*scene.sounds, scene.take) for scene in scenes}
    assert not seen["train"] & seen["test"]


def test_split_hash_is_fixed() -> None:
    assert [split_of("count", "dog", n, "grass") for n in (1, 2, 3, 4)] == [
        "train", "train", "train", "train",
    ]  # fmt: skip
    held_out = [
        (name, motion) for name in OBJECTS for motion in MOTIONS
        if split_of("motion", name, motion) == "test"
    ]  # fmt: skip
    assert 0.08 < len(held_out) / (len(OBJECTS) * len(MOTIONS)) < 0.17


@pytest.mark.parametrize(
    ("scene", "shape", "dtype"),
    [
        (ImageScene(object="dog", count=3, background="grass", seed=1), (64, 64, 3), np.uint8),
        (VideoScene(object="cat", motion="spinning", seed=2), (8, 64, 64, 3), np.uint8),
        (AudioScene(sounds=("dog", "bell"), seed=3), (32_768,), np.float32),
    ],
)
def test_rendering_is_a_function_of_the_scene(
    scene: Scene, shape: tuple[int, ...], dtype: type
) -> None:
    first, second = render(scene), render(scene)
    assert first.shape == shape and first.dtype == dtype
    assert np.array_equal(first, second)
