"""Every caption is read back as its scene, and nothing else is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emoji_mini.emoji_world.reading import scene_of
from emoji_mini.emoji_world.sampling import sample_clip, sample_picture, sample_sound
from emoji_mini.emoji_world.scenes import (
    ClipScene,
    PictureScene,
    Scene,
    SoundScene,
    motions_of,
)
from emoji_mini.emoji_world.sounds import SOUNDS
from emoji_mini.emoji_world.things import MAX_COUNT, THINGS

ALONE = [
    PictureScene(object=name, count=count) for name in THINGS for count in range(1, MAX_COUNT + 1)
]
MOVING = [ClipScene(object=name, motion=motion) for name in THINGS for motion in motions_of(name)]
HEARD = [SoundScene(sounds=(name,), take=6) for name in SOUNDS]


@pytest.mark.parametrize("scenes", [ALONE, MOVING, HEARD], ids=["alone", "moving", "heard"])
def test_everything_in_the_world_is_read_back(scenes: list[Scene]) -> None:
    assert [scene for scene in scenes if scene_of(type(scene), scene.caption) != scene] == []


def test_random_scenes_are_read_back() -> None:
    rng = np.random.default_rng(0)
    for sample in (sample_picture, sample_clip, sample_sound):
        for _ in range(200):
            scene = replace(sample(rng, "test"), seed=0)
            if isinstance(scene, SoundScene):
                scene = replace(scene, take=6)
            assert scene_of(type(scene), scene.caption) == scene, scene.caption


def test_captions_of_other_wordings_are_read() -> None:
    bus = scene_of(ClipScene, "a bus moving left under a blue sky")
    assert bus == ClipScene(object="bus", motion="moving left", background="sky")
    assert scene_of(SoundScene, "a chopper", 1) == SoundScene(
        sounds=("helicopter",), take=7, seed=1
    )


@pytest.mark.parametrize(
    ("kind", "caption"),
    [
        (PictureScene, "a gryphon at night"),
        (PictureScene, "a dog"),
        (PictureScene, "seven dogs at night"),
        (PictureScene, "two dogs left of a cat at night"),
        (PictureScene, "four dogs and four cats at night"),
        (PictureScene, "a dog above a dog at night"),
        (ClipScene, "two dogs spinning at night"),
        (ClipScene, "a dog howling at night"),
        (SoundScene, "a dog barking then a dog barking"),
        (SoundScene, "a dog barking then a sneeze"),
        (SoundScene, ""),
    ],
)
def test_what_the_world_does_not_have_is_not_read(kind: type[Scene], caption: str) -> None:
    assert scene_of(kind, caption) is None
