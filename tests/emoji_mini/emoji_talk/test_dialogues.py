"""Conversations of version 1: reproducible, of their split, true, in no evaluation's words."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from anyweave.training.plan import BatchPlan, Lengths, is_streamed
from emoji_mini.emoji_talk import Dialogues
from emoji_mini.emoji_talk.phrases import phrases, tables, unknown_sounds, unknown_things
from emoji_mini.emoji_talk.source import ACTS, STAGES
from emoji_mini.emoji_talk.talk import Talk
from emoji_mini.emoji_world.held_out import held_out_requests, leaks, plain
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene, SoundScene
from emoji_mini.emoji_world.things import find_thing


def _lines() -> list[str]:
    lines = []
    for rows in tables().values():
        for row in rows:
            first = (
                row["text"] if isinstance(row, dict) else row if isinstance(row, str) else row[0]
            )
            lines.append(first)
    return lines


def test_no_table_holds_the_wording_of_an_evaluation() -> None:
    lines = _lines()
    assert len(lines) > 1500
    assert leaks(lines) == []


def test_no_conversation_says_a_held_out_request() -> None:
    asked = {plain(request.say) for request in held_out_requests()}
    source = Dialogues("train", 400, 1)
    for index in range(len(source)):
        _, talk = source.draft(index)
        said = {plain(part) for _, parts in talk.turns for part in parts if isinstance(part, str)}
        assert not said & asked


def test_unknown_things_are_unknown_and_none_is_asked_in_the_held_out_set() -> None:
    asked = {request.unknown.lower() for request in held_out_requests()}
    assert len(unknown_things()) > 500 and len(unknown_sounds()) > 50
    for name in unknown_things():
        assert find_thing(name) is None and name.lower() not in asked


def test_every_phrasing_belongs_to_one_split() -> None:
    for key, rows in tables().items():
        if len(rows) >= 5:
            train, test = phrases(key, "train"), phrases(key, "test")
            assert len(train) + len(test) == len(rows) and len(test) >= 1


@pytest.mark.parametrize("split", ["train", "test"])
def test_conversations_are_of_their_split_and_come_again(split: str) -> None:
    source, again = Dialogues(split, 60, 3), Dialogues(split, 60, 3)  # type: ignore[arg-type]
    for index in range(0, 60, 7):
        one, two = source.draft(index), again.draft(index)
        assert one[1].turns == two[1].turns
        splits = {scene.split for scene in one[1].scenes}
        assert "test" not in splits if split == "train" else not splits or "test" in splits


@pytest.mark.parametrize("name", ACTS)
def test_every_act_fills_its_slots_and_ends_with_the_assistant(name: str) -> None:
    for seed in range(12):
        talk = Talk(np.random.default_rng(seed), "train")
        ACTS[name](talk)
        roles = [role for role, _ in talk.turns]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        for role, said in talk.turns:
            words = " ".join(part for part in said if isinstance(part, str))
            assert not re.search(r"[{}]", words), (name, role, words)
            assert role == "user" or words.strip()


def test_the_caption_stands_right_before_its_medium() -> None:
    source = Dialogues("train", 200, 5)
    seen: Counter[type] = Counter()
    for index in range(200):
        for role, said in source.draft(index)[1].turns:
            for before, part in zip(said, said[1:], strict=False):
                if role == "assistant" and not isinstance(part, str):
                    assert part.caption in str(before)
                    seen[type(part)] += 1
    assert min(seen[kind] for kind in (PictureScene, ClipScene, SoundScene)) > 20


def test_a_stage_that_does_not_exist_is_refused() -> None:
    assert set(STAGES) == {"stage1", "stage2", "stage3"}
    with pytest.raises(ValueError, match="unknown stage 'stage4'; there are stage1"):
        Dialogues("train", 1, kinds="stage4")
    with pytest.raises(ValueError, match=r"unknown kinds of talk \['dance'\]"):
        Dialogues("train", 1, kinds={"dance": 1.0})


def test_user_media_are_rendered_and_replies_on_demand() -> None:
    source = Dialogues("train", 40, 2, kinds={"describe picture": 1, "ask sound": 1})
    for index in range(12):
        for message in source[index]:
            for part in message.media():
                assert (part.source is not None) == (message.role == "user")
    whole = Dialogues("train", 40, 2, kinds={"ask sound": 1}, with_media=True)
    sound = whole[0][1].media()[0]
    assert sound.source.shape == (64_000,) and sound.rate == 16_000


def test_a_run_drafts_only_the_conversations_that_it_soon_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Dialogues("train", 100_000)
    drafted: list[int] = []

    def length(index: int) -> int:
        drafted.append(index)
        return index

    monkeypatch.setattr(source, "length", length)
    plan = BatchPlan(
        size=len(source),
        batch_size=4,
        window=8,
        lengths=Lengths(source),
        streamed=is_streamed(source),
    )
    assert len({item for step in range(8) for batch in plan.step(step) for item in batch}) == 32
    assert sorted(drafted) == list(range(32))
