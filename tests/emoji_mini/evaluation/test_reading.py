"""Replies are read by exact words."""

from __future__ import annotations

import numpy as np
import pytest

from emoji_mini.evaluation.tasks.reading import count_named, objects_named, read, relation_named
from emoji_mini.world.scenes import (
    AudioScene,
    ImageScene,
    VideoScene,
    sample_audio,
    sample_image,
    sample_video,
)


@pytest.mark.parametrize("sampler", [sample_image, sample_video, sample_audio])
def test_a_canonical_caption_states_every_fact(sampler: object) -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        scene = sampler(rng, "train")  # type: ignore[operator]
        stated = read(f"The medium shows {scene.caption}.", scene)
        assert stated and all(stated.values()), scene.caption


def test_objects_are_whole_words() -> None:
    assert objects_named("A catalogue of busy carrots") == {"carrot"}
    assert objects_named("Two foxes and a bus") == {"fox", "bus"}


def test_counts() -> None:
    assert count_named("I see three dogs on grass", "dog") == 3
    assert count_named("An owl at night", "owl") == 1
    assert count_named("4 sheep", "sheep") == 4
    assert count_named("many dogs", "dog") is None


def test_relations_from_either_side() -> None:
    scene = ImageScene(object="dog", relation="left of", other="cat")
    assert relation_named("A dog left of a cat.", scene)
    assert relation_named("The cat is right of the dog.", scene)
    assert not relation_named("A cat left of a dog.", scene)
    assert not relation_named("A dog above a cat.", scene)


def test_wrong_facts_are_wrong() -> None:
    picture = ImageScene(object="dog", count=2, background="grass")
    assert read("Two cats on a beach.", picture) == {
        "object": False, "count": False, "background": False,
    }  # fmt: skip
    clip = VideoScene(object="dog", motion="rising", background="sky")
    assert not read("A dog rising falling under a blue sky.", clip)["motion"]
    sounds = AudioScene(sounds=("dog", "cat"))
    assert not read("a cat meowing then a dog barking", sounds)["sound"]
    assert not read("a dog barking", sounds)["sound"]
