"""The proof of own data: what is brought is new, the judges know it, and a short run is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from anyweave.model import NextGPT
from anyweave_making import own
from emoji_mini.evaluation.own_data import NEW_SOUNDS, NEW_THINGS, asked_for, brought, write_data
from emoji_mini.evaluation.own_proof import judged, judges_accuracy, named, prove, request
from emoji_mini.world.catalogue import OBJECTS, SOUNDS


def test_what_is_brought_is_new_and_what_is_asked_for_is_held_out(tmp_path: Path) -> None:
    assert not {*NEW_THINGS} & {*OBJECTS} and not {*NEW_SOUNDS} & {*SOUNDS}
    assert (len(NEW_THINGS), len(NEW_SOUNDS)) == (20, 5)
    assert len(list(brought())) == 250
    pictures = [shown for shown in asked_for() if not shown.is_sound]
    seen = {(shown.name, shown.background) for shown in brought()}
    assert sum((shown.name, shown.background) not in seen for shown in pictures) == 20
    data = own.look_at(write_data(tmp_path / "data", each=1))
    assert data.captioned == 25 and data.shown == {"image", "audio"}
    said = {message.text for row in data.train for message in row if message.role == "user"}
    assert not {request(shown) for shown in asked_for()} & said


def test_judges_know_what_is_new_and_words_are_read_exactly() -> None:
    assert all(figure.share == 1 for figure in judges_accuracy(6).values())
    tiger = next(shown for shown in asked_for() if shown.name == "tiger")
    assert named("It is a tiger under a blue sky.", tiger)
    assert not named("A tiger and a dog.", tiger) and not named("A lion.", tiger)
    owl = next(shown for shown in asked_for() if shown.name == "owl")
    assert named("I hear an owl hooting.", owl) and not named("A dog barking.", owl)
    assert not any(judged([tiger], [None]).values())


@pytest.mark.slow
def test_a_short_run_teaches_and_tells(tmp_path: Path) -> None:
    few = ("data.batch_size=4",)
    text = prove(tmp_path, minutes=0.3, trials=2, old_trials=0, settings=few)
    assert "bridge signal" in text and "bridge caption" in text and "drawn when asked" in text
    model = NextGPT.from_pretrained(tmp_path / "own" / "model")
    assert {name.split(".")[0] for name in model.parameters_of("decoder_lora")} == {
        "image",
        "audio",
    }
    assert (tmp_path / "asked.webp").is_file() and (tmp_path / "own" / "report.html").is_file()
    assert prove(tmp_path, minutes=0.3, trials=2, old_trials=0, settings=few) == text
