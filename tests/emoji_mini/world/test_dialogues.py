"""Conversations: valid, deterministic, of their split, and with the caption said right before each
medium.
"""

from __future__ import annotations

import numpy as np
import pytest

from anyweave.messages import Audio, Image, Media, Text, Video
from emoji_mini.world import phrases
from emoji_mini.world.dialogues import KINDS
from emoji_mini.world.draft import Dialogue, Draft
from emoji_mini.world.scenes import ImageScene
from emoji_mini.world.small_talk import TALK
from emoji_mini.world.sources import STAGE_KINDS, WorldDialogues, stage_source


def _few(kind: str, split: str, number: int = 25) -> list[Dialogue]:
    source = WorldDialogues(split, number, 7, kinds={kind: 1.0}, with_media=False)  # type: ignore[arg-type]
    return [source.dialogue(n) for n in range(number)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_kind_makes_valid_conversations(kind: str, split: str) -> None:
    for dialogue in _few(kind, split, 6):
        roles = [message.role for message in dialogue.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) and roles
        media = [part for message in dialogue.messages for part in message.media()]
        assert [part.caption for part in media] == [scene.caption for scene in dialogue.scenes]
        for message in dialogue.messages:
            assert message.parts
            assert "{" not in message.text and "  " not in message.text
            if message.role == "user":
                assert all(part.source is not None for part in message.media())
            else:
                _captions_come_first(message.parts)


def _captions_come_first(parts: tuple[object, ...]) -> None:
    assert isinstance(parts[0], Text)
    for before, part in zip(parts, parts[1:], strict=False):
        if isinstance(part, Media):
            assert isinstance(before, Text)
            assert before.text.endswith(f"{part.caption}.")


@pytest.mark.parametrize("kind", KINDS)
def test_training_holds_no_test_scene(kind: str) -> None:
    for dialogue in _few(kind, "train", 10):
        assert all(scene.split == "train" for scene in dialogue.scenes)
    for dialogue in _few(kind, "test", 10):
        assert not dialogue.scenes or any(scene.split == "test" for scene in dialogue.scenes)


def test_items_depend_on_seed_and_index_only() -> None:
    source = stage_source("stage3", "train", 40, 1, with_media=False)
    backwards = {n: source[n] for n in reversed(range(40))}
    again = stage_source("stage3", "train", 4000, 1, with_media=False)
    assert all(again[n] == backwards[n] for n in range(40))
    other = stage_source("stage3", "train", 40, 2, with_media=False)
    assert sum(other[n] == backwards[n] for n in range(40)) < 5


def test_media_have_the_sizes_and_rates_of_the_world() -> None:
    found = set()
    for kind in ("request_image", "request_video", "request_audio"):
        message = WorldDialogues("train", 1, kinds={kind: 1.0})[0][-1]
        part = message.media()[0]
        found.add(part.modality)
        assert {
            Image: (64, 64, 3), Video: (8, 64, 64, 3), Audio: (32_768,),
        }[type(part)] == np.shape(part.source)  # fmt: skip
        assert {Image: None, Video: 8.0, Audio: 16_000.0}[type(part)] == part.rate
    assert found == {"image", "video", "audio"}


def test_without_media_only_captions_are_left() -> None:
    source = WorldDialogues("train", 1, kinds={"request_image": 1.0}, with_media=False)
    part = source[0][-1].media()[0]
    assert part.source is None and part.caption


@pytest.mark.parametrize("stage", STAGE_KINDS)
def test_stage_mixtures(stage: str) -> None:
    total = sum(STAGE_KINDS[stage].values())
    assert total == pytest.approx(1.0, abs=0.02)
    assert set(STAGE_KINDS[stage]) <= set(KINDS)
    if stage == "stage3":
        alone = sum(STAGE_KINDS[stage][kind] for kind in ("talk", "refuse"))
        assert alone / total == pytest.approx(0.25, abs=0.01)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="request_image"):
        WorldDialogues("train", 1, kinds={"requests": 1.0})
    with pytest.raises(ValueError, match="stage1"):
        stage_source("stage4", "train", 1)
    with pytest.raises(IndexError):
        WorldDialogues("train", 1)[1]


def test_phrasings_are_held_out() -> None:
    for table in (phrases.IMAGE_REQUESTS, phrases.MOODS, TALK, phrases.DESCRIBE["audio"]):
        train, test = (set(phrases.usable(table, split)) for split in ("train", "test"))
        assert train | test == set(table) and not train & test and test
    questions = {question for question, _ in TALK}
    assert len(questions) == len(TALK) >= 150
    said = {
        message.text.lower().rstrip(".")
        for d in _few("talk", "test", 40)
        for message in d.messages[::2]
    }
    known = {question.lower().rstrip(".") for question, _ in phrases.usable(TALK, "train")}
    assert not said & known


def test_words_after_what_the_assistant_shows_begin_with_a_space() -> None:
    found = 0
    for dialogue in _few("several_media", "train"):
        for message in dialogue.messages[1::2]:
            for before, part in zip(message.parts, message.parts[1:], strict=False):
                if isinstance(before, Media):
                    assert isinstance(part, Text) and part.text[0] == " " != part.text[1]
                    found += 1
    assert found


def test_several_are_shown_in_the_plural() -> None:
    draft = Draft(np.random.default_rng(0), "train")
    three, one = (ImageScene(object="fox", count=count) for count in (3, 1))
    said = {str(draft.showing(three)[0]) for _ in range(60)}
    assert said == {
        "Here is a picture of three foxes on a white background.",
        "Here are three foxes on a white background.",
        "Sure! Here are three foxes on a white background.",
        "These are three foxes on a white background.",
    }
    said = {str(draft.showing(one, "Well.")[0]) for _ in range(60)}
    assert said == {
        "Well. Here is a picture of a fox on a white background.",
        "Well. Here is a fox on a white background.",
        "Well. This is a fox on a white background.",
    }


def test_answers_are_short() -> None:
    for kind in ("talk", "refuse", "ask_image", "ask_video", "ask_audio", "joke"):
        for dialogue in _few(kind, "train", 10):
            for message in dialogue.messages[1::2]:
                assert len(message.text.split()) <= 25
