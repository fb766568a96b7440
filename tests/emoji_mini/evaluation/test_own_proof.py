"""The proof of own data: what is brought is new, the judges know it, and a short run is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from anyweave.model import NextGPT
from anyweave_making import own
from emoji_mini.emoji_world.sounds import SOUNDS
from emoji_mini.emoji_world.things import find_thing
from emoji_mini.evaluation.own_data import (
    NEW_SOUNDS,
    NEW_THINGS,
    asked_for,
    brought,
    write_data,
    write_keep,
)
from emoji_mini.evaluation.own_judging import right
from emoji_mini.evaluation.own_proof import judges_accuracy, named, prove, request
from emoji_mini.parts.discriminant import Discriminant


def test_what_is_brought_is_new_and_what_is_asked_for_is_held_out(tmp_path: Path) -> None:
    assert not [name for name in NEW_THINGS if find_thing(name)]
    assert not {*NEW_SOUNDS} & {*SOUNDS}
    assert (len(NEW_THINGS), len(NEW_SOUNDS)) == (20, 5)
    assert len(list(brought())) == 250
    pictures = [shown for shown in asked_for() if not shown.is_sound]
    seen = {(shown.name, shown.background) for shown in brought()}
    assert sum((shown.name, shown.background) not in seen for shown in pictures) >= 20
    data = own.look_at(write_data(tmp_path / "data", each=1))
    assert data.captioned == 25 and data.shown == {"image", "audio"}
    said = {message.text for row in data.train for message in row if message.role == "user"}
    assert not {request(shown) for shown in asked_for()} & said


def test_what_is_kept_never_speaks_of_what_is_new(tmp_path: Path) -> None:
    kept = write_keep(tmp_path / "keep", 2).read_text("utf-8").lower()
    assert len(kept.splitlines()) == 2
    assert not [name for name in NEW_THINGS if f" {name} " in kept]


def test_words_are_read_exactly() -> None:
    melon = next(shown for shown in asked_for() if shown.name == "melon")
    assert named("It is a melon in a blue sky.", melon)
    assert not named("A melon and a dog.", melon) and not named("A watermelon.", melon)
    cuckoo = next(shown for shown in asked_for() if shown.name == "cuckoo")
    assert named("I hear a cuckoo calling.", cuckoo)
    assert not named("A dog barking.", cuckoo)
    assert not right(melon, None)


def test_a_discriminant_weighs_features_by_their_spread() -> None:
    """The second feature is mostly noise: what is nearest by plain distance is not what counts."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    noise = torch.randn(200, 2, generator=generator) * torch.tensor([0.1, 10.0])
    features = torch.stack([labels.float(), torch.zeros(200)], 1) + noise
    judge = Discriminant.fitted(("zero", "one"), features, labels)
    assert judge.name(torch.tensor([1.0, -30.0])) == "one"
    assert judge.name(torch.tensor([0.0, 30.0])) == "zero"


@pytest.mark.slow
def test_judges_know_what_is_new() -> None:
    found = judges_accuracy()
    assert found["the judge of pictures, on real ones"].successes >= 34  # of 40
    assert found["the judge of sounds, on real ones"].successes >= 18  # of 20


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
