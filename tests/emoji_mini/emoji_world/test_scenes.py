from __future__ import annotations

import numpy as np
import pytest

from emoji_mini.emoji_world.sampling import sample_clip, sample_picture, sample_sound
from emoji_mini.emoji_world.scenes import (
    ACTS,
    BACKGROUNDS,
    MOTIONS,
    RELATIONS,
    ClipScene,
    PictureScene,
    SoundScene,
    motions_of,
    split_of,
)
from emoji_mini.emoji_world.sounds import SOUND_OF_THING, SOUNDS
from emoji_mini.emoji_world.things import THINGS


def test_the_world_is_as_large_as_it_says() -> None:
    assert (len(BACKGROUNDS), len(RELATIONS), len(MOTIONS), len(SOUNDS)) == (8, 5, 12, 48)


def test_every_act_has_words_and_every_sound_a_thing_of_the_world() -> None:
    assert {thing.does for thing in THINGS.values()} - {""} == set(ACTS)
    assert set(SOUND_OF_THING) <= set(THINGS)
    for table in (BACKGROUNDS, RELATIONS, MOTIONS, ACTS):
        for name, words in table.items():
            assert len(set(words)) == len(words) > 1, name


@pytest.mark.parametrize(
    ("scene", "caption"),
    [
        (PictureScene(object="apple"), "an apple on a white background"),
        (PictureScene(object="grapes", count=3), "three bunches of grapes on a white background"),
        (
            PictureScene(object="cat", count=2, other="dog", other_count=1, background="room"),
            "two cats and a dog in a room",
        ),
        (
            PictureScene(object="owl", relation="above", other="moon", other_count=1),
            "an owl above the moon on a white background",
        ),
        (
            PictureScene(object="fox", relation="between", other="tree", other_count=2),
            "a fox between two trees on a white background",
        ),
        (ClipScene(object="heart", motion="beating"), "a heart beating on a white background"),
        (SoundScene(sounds=("rain", "owl")), "rain falling then an owl hooting"),
    ],
)
def test_captions(scene: PictureScene | ClipScene | SoundScene, caption: str) -> None:
    assert scene.caption == caption


@pytest.mark.parametrize(
    "wrong",
    [
        {"object": "gryphon"},
        {"object": "dog", "background": "moonbase"},
        {"object": "dog", "count": 7},
        {"object": "dog", "count": 0},
        {"object": "dog", "count": 4, "other": "cat", "other_count": 3},
        {"object": "dog", "other": "cat"},
        {"object": "dog", "other_count": 1},
        {"object": "dog", "other": "dog", "other_count": 1},
        {"object": "dog", "relation": "above"},
        {"object": "dog", "relation": "between", "other": "cat", "other_count": 1},
        {"object": "dog", "relation": "beside", "other": "cat", "other_count": 1},
    ],
)
def test_pictures_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        PictureScene(**wrong)  # type: ignore[arg-type]


def test_other_scenes_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="unknown motion of 'dog' 'beating'"):
        ClipScene(object="dog", motion="beating")
    with pytest.raises(ValueError, match="two different"):
        SoundScene(sounds=("dog", "dog"))
    with pytest.raises(ValueError, match="unknown take"):
        SoundScene(sounds=("dog",), take=8)


def test_what_a_heart_can_do() -> None:
    assert motions_of("heart") == (*MOTIONS, "beating")
    assert motions_of("chair") == tuple(MOTIONS)


def test_the_split_never_changes() -> None:
    assert [split_of("count", "dog", n, "grass") for n in range(1, 7)] == [
        "train",
        "train",
        "train",
        "train",
        "train",
        "train",
    ]
    one = PictureScene(object="dog", relation="above", other="cat", other_count=1)
    other = PictureScene(
        object="dog", relation="above", other="cat", other_count=1, background="beach", seed=3
    )
    assert one.split == other.split  # a pair is held out on every background


def test_a_pair_named_from_its_other_end_is_in_the_same_split() -> None:
    names = list(THINGS)[:40]
    for one, other in zip(names, names[1:], strict=False):
        for relation, mirrored in (("left of", "right of"), ("above", "below")):
            a = PictureScene(object=one, relation=relation, other=other, other_count=1)
            b = PictureScene(object=other, relation=mirrored, other=one, other_count=1)
            assert a.split == b.split
        a = PictureScene(object=one, count=2, other=other, other_count=1)
        b = PictureScene(object=other, count=1, other=one, other_count=2)
        assert a.split == b.split


@pytest.mark.parametrize("sample", [sample_picture, sample_clip, sample_sound])
def test_samples_stay_in_their_split(sample) -> None:  # type: ignore[no-untyped-def]
    for split in ("train", "test"):
        rng = np.random.default_rng(0)
        scenes = [sample(rng, split) for _ in range(200)]
        assert {scene.split for scene in scenes} == {split}
        again = np.random.default_rng(0)
        assert scenes[:5] == [sample(again, split) for _ in range(5)]


def test_an_eighth_of_the_combinations_is_held_out() -> None:
    held = [
        PictureScene(object=name, count=count, background=background).split == "test"
        for name in THINGS
        for count in range(1, 7)
        for background in BACKGROUNDS
    ]
    assert abs(np.mean(held) - 1 / 8) < 0.01
