from __future__ import annotations

import re

import numpy as np
import pytest

from anyweave.model.spec import caption_words
from emoji_mini.emoji_world.captions import call, describe, vocabulary
from emoji_mini.emoji_world.sampling import sample_clip, sample_picture, sample_sound
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene, SoundScene
from emoji_mini.emoji_world.things import THINGS, find_thing


def _all_ways(thing: str, count: int) -> set[str]:
    rng = np.random.default_rng(0)
    return {call(rng, THINGS[thing], count) for _ in range(100)}


def test_whatever_a_thing_is_called_it_is_found_again() -> None:
    for thing in THINGS.values():
        for count in (1, 2, 6):
            for said in _all_ways(thing.name, count):
                assert find_thing(said) is thing, said
                assert not re.search(r"\ban? (grapes|scissors|bread|rain)$", said)


def test_how_grapes_are_counted() -> None:
    assert {"grapes", "some grapes", "a bunch of grapes"} <= _all_ways("grapes", 1)
    assert {"two bunches of grapes", "2 bunches of grapes"} <= _all_ways("grapes", 2)
    assert not any("pair of pair" in said for said in _all_ways("scissors", 2))
    assert "a lightning bolt" in _all_ways("lightning", 1)
    assert "six pairs of trousers" in _all_ways("jeans", 6)


def test_what_is_said_once_is_always_said() -> None:
    """Number, things and (but for the default) background are in every caption."""
    rng = np.random.default_rng(1)
    scene = PictureScene(object="fox", count=4, background="night")
    for _ in range(100):
        said = describe(rng, scene)
        assert "foxes" in said and ("four" in said or "4" in said)
        assert "night" in said or "dark" in said or "star" in said


def test_a_relation_may_be_seen_from_the_other_side() -> None:
    rng = np.random.default_rng(2)
    scene = PictureScene(object="owl", relation="above", other="bat", other_count=1)
    said = {describe(rng, scene) for _ in range(100)}
    assert any(re.match(r"an owl (above|over|on top of) an? (single )?bat", one) for one in said)
    assert any(re.match(r"a bat (below|under|beneath|underneath) an owl", one) for one in said)


def test_clips_and_sounds() -> None:
    rng = np.random.default_rng(3)
    clips = {describe(rng, ClipScene(object="heart", motion="beating")) for _ in range(200)}
    assert "a heart beating on a white background" in clips and "a red heart pulsing" in clips
    pair = SoundScene(sounds=("rain", "owl"))
    said = {describe(rng, pair) for _ in range(2000)}
    assert "first raindrops, then a hooting owl" in said
    assert "an owl hooting after the sound of rain" in said


@pytest.mark.parametrize("sample", [sample_picture, sample_clip, sample_sound])
def test_captions_are_clean(sample) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(4)
    for _ in range(400):
        said = describe(rng, sample(rng, "train"))
        assert (
            said == said.strip(" ,") and "  " not in said and "{" not in said and " ," not in said
        )
        assert not re.search(r"\ba [aeio]\w|\ban [^aeiouh]", said), said


@pytest.mark.parametrize(
    ("modality", "sample"),
    [("image", sample_picture), ("video", sample_clip), ("audio", sample_sound)],
)
def test_every_word_of_a_caption_is_in_the_vocabulary(modality, sample) -> None:  # type: ignore[no-untyped-def]
    rng, known = np.random.default_rng(0), set(caption_words(vocabulary(modality)))
    for _ in range(300):
        assert set(caption_words(describe(rng, sample(rng, "train")))) <= known
    assert not {"walrus", "thing", "things"} & known
