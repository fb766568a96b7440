"""What is read in a reply: exact words, every fact by itself."""

from __future__ import annotations

import numpy as np
import pytest

from emoji_mini.emoji_talk.reading import declines, read, things_named
from emoji_mini.emoji_world.sampling import sample_clip, sample_picture, sample_sound
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene, SoundScene


@pytest.mark.parametrize("sample", [sample_picture, sample_clip, sample_sound])
def test_a_canonical_caption_states_every_fact(sample) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    for _ in range(300):
        scene = sample(rng, "train")
        facts = read(f"Here is {scene.caption}.", scene)
        assert all(facts.values()), (scene.caption, facts)


def test_wrong_words_are_wrong() -> None:
    scene = PictureScene(object="cat", relation="left of", other="dog", other_count=1)
    assert read("a dog left of a cat on a white background", scene)["relation"] is False
    assert read("a dog right of a cat on a white background", scene)["relation"] is True
    two = PictureScene(object="cat", count=2)
    wrong = read("Here are three cats on a white background.", two)
    assert wrong == {"background": True, "object": True, "count": False}
    assert read("two cats in the snow", two)["background"] is False
    clip = ClipScene(object="car", motion="moving left")
    assert read("a car moving right on a white background", clip)["motion"] is False
    assert read("a cat meowing", SoundScene(sounds=("dog",)))["sound"] is False
    pair = SoundScene(sounds=("dog", "cat"))
    assert read("a cat meowing then a dog barking", pair)["sound"] is False


def test_longer_names_hide_shorter_ones() -> None:
    assert things_named("a polar bear and two hot dogs") == {"polar bear": 1, "hot dog": 2}
    assert things_named("three pairs of glasses") == {"glasses": 3}


def test_declining_is_recognised() -> None:
    assert declines("I have never learned to draw a walrus, but I can draw a seal.")
    assert not declines("Here is a seal on a white background.")
