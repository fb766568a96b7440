"""A caption becomes a medium through the frozen decoder alone."""

from __future__ import annotations

import numpy as np
import pytest

from anyweave.generation.depicting import depict
from anyweave.messages import MEDIA_TYPES, PAPER_MODALITIES, Media
from anyweave.model.any_to_any import NextGPT
from anyweave.testing.model import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> NextGPT:
    folder = tmp_path_factory.mktemp("tiny")
    path = tiny_model().save_pretrained(folder / "model")
    return NextGPT.from_pretrained(str(path), bridge="caption")


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_caption_and_seed_decide(model: NextGPT, modality: str) -> None:
    made: list[Media] = []
    for caption, seed in (("a dog", 1), ("a dog", 1), ("a dog", 2)):
        part = depict(model, modality, caption, seed)
        assert part is not None
        made.append(part)
    assert all(isinstance(part, MEDIA_TYPES[modality]) and part.caption == "a dog" for part in made)
    assert np.array_equal(made[0].source, made[1].source)
    assert not np.array_equal(made[0].source, made[2].source)
    assert (made[0].rate is None) == (modality == "image")


def test_nothing_without_a_decoder(model: NextGPT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "decoders", {})
    assert depict(model, "image", "a dog") is None
