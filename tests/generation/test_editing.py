"""Which medium of a conversation a new one is made from, and that the reply says so."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from anyweave.generation import ChatSession, GenerationOptions, MediaDone, edit
from anyweave.generation import sources as rules
from anyweave.generation.terminal import told
from anyweave.messages import PAPER_MODALITIES, Audio, Image, Message, Modality
from anyweave.model import NextGPT
from anyweave.testing.model import tiny_model


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


def test_what_has_no_source_cannot_be_edited_and_is_told() -> None:
    old = Message("user", [Image(np.zeros((8, 8, 3), np.uint8))])
    talk = [old, Message("assistant", [Image(caption="a fox")])]
    with pytest.raises(ValueError, match="only the caption is known"):
        rules.Sources().find("image", talk, None, GenerationOptions(edit="always"), 1)
    assert rules.Sources().find("image", talk, None, GenerationOptions(edit="auto"), 1) is None


def _options(modality: Modality, **more: Any) -> GenerationOptions:
    return GenerationOptions(
        max_new_tokens=2,
        seed=3,
        num_inference_steps=2,
        force=(modality,),
        modalities=("text", modality),
        max_media=0,
        **more,
    )


def _second(model: NextGPT, options: GenerationOptions) -> tuple[MediaDone, Any]:
    session = ChatSession(model, options)
    first = session.reply("a cat").media()[0]
    (done,) = [e for e in session.send("the same at night") if isinstance(e, MediaDone)]
    return done, first


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_the_latest_of_its_kind_is_changed_where_that_is_asked(
    model: NextGPT, modality: Modality
) -> None:
    anew, _ = _second(model, _options(modality))
    changed, first = _second(model, _options(modality, edit="always"))
    assert anew.edited is None and changed.edited is not None
    assert changed.edited.caption == first.caption and changed.edited.known
    assert 0 < (changed.edited.strength or 0) <= 1 and 0 < (changed.edited.changed or 0) <= 1
    assert "made from the earlier one" in told(changed.edited)


@pytest.mark.parametrize(("least", "edits"), [(-1.0, True), (1.1, False)])
def test_auto_goes_by_likeness(
    model: NextGPT, monkeypatch: pytest.MonkeyPatch, least: float, edits: bool
) -> None:
    monkeypatch.setattr(rules, "ALIKE", least)
    auto: Literal["auto"] = "auto"
    assert (_second(model, _options("image", edit=auto))[0].edited is not None) == edits
    # It keeps away where another scheduler was asked for.
    named = _second(model, _options("image", edit=auto, scheduler="euler"))[0]
    assert named.edited is None


def test_a_decoder_that_cannot_invert_does_sdedit(
    model: NextGPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(model.decoders["image"]), "edits", False)
    options = GenerationOptions(max_new_tokens=2, seed=3, num_inference_steps=5)
    session = ChatSession(model, options)
    source = Image(np.full((16, 16, 3), 200, dtype=np.uint8))
    part = edit(session, source, "brighter", strength=0.2).media("image")[-1]
    assert np.asarray(part.source).shape == (16, 16, 3)
    done = _second(model, _options("image", edit="auto"))[0]
    assert done.edited is None


def test_a_medium_from_elsewhere_is_changed(model: NextGPT) -> None:
    source = Image(np.full((16, 16, 3), 200, dtype=np.uint8))
    session = ChatSession(model, GenerationOptions(max_new_tokens=2, num_inference_steps=2))
    made = edit(session, source, "brighter").media("image")[-1]
    assert session.conditioning_of(made) is not None and session.conditioning_of(source) is None
    with pytest.raises(ValueError, match="nothing to edit"):
        edit(session, Audio(caption="x"), "louder")
