"""Held-out losses are the training's own, told apart by sample."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from anyweave.messages import Image, Message
from anyweave.model import NextGPT
from anyweave.testing.conversations import tiny_conversations
from anyweave.training.config import ObjectiveConfig
from anyweave.training.features import FrozenFeatures
from anyweave.training.held_out import _alignment, denoising_errors, held_out_losses
from anyweave.training.objective import compute_terms
from anyweave.training.recipes import load_recipe
from anyweave.training.stages import Stage

MakeModel = Callable[[], NextGPT]


def test_equal_captions_have_no_variance() -> None:
    same = torch.randn(1, 4, 8).expand(3, 4, 8)
    assert [spread for _, spread in _alignment(same + 1, same)] == [0, 0, 0]


def test_they_are_the_losses_of_each_conversation_alone(plain_model: MakeModel) -> None:
    model, source = plain_model(), tiny_conversations()
    found = held_out_losses(model, source, batch_size=4, max_length=512, progress=False)
    stage = Stage(name="s", trainable=("lora",), losses={"lm": 1.0, "alignment": 1.0})
    frozen = FrozenFeatures(model)
    errors: dict[str, list[float]] = {"image": [], "video": [], "audio": []}
    for index, pair in enumerate(found.language):
        item = frozen.renderer(source, 512)(index, load_targets=False)
        batch = frozen.batch(frozen.complete([item], latents=False), captions=True)
        terms = compute_terms(
            model, model(batch), batch, stage, ObjectiveConfig(), denoising=False, row_seeds=[0]
        )
        assert pair == pytest.approx((terms["lm"].sum.item(), terms["lm"].count), rel=1e-4)
        for modality, targets in batch.targets.items():
            assert targets.caption_embeddings is not None
            size = targets.caption_embeddings[0].numel()
            errors[modality].append(terms[f"alignment/{modality}"].sum.item() * size)
    assert len(found.language) == len(source)
    for modality, pairs in found.alignment.items():
        assert [error for error, _ in pairs] == pytest.approx(errors[modality], rel=1e-4)


def test_the_mean_caption_explains_nothing(
    plain_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conditioning that knows nothing of its caption, the best of that kind, has error 1."""
    model = plain_model()
    source = [c for c in tiny_conversations() if any(m.role == "assistant" for m in c)]
    mean = FrozenFeatures(model).caption_embeddings("image", ["thing 0", "a dot"]).mean(0)
    monkeypatch.setattr(
        model, "condition", lambda modality, hidden: mean.expand(len(hidden), -1, -1)
    )
    images = [c for c in source if c[-1].media("image") and c[-1].role == "assistant"]
    pairs = held_out_losses(model, images[:2], progress=False).alignment["image"]
    assert len(pairs) == 2
    assert sum(error for error, _ in pairs) == pytest.approx(sum(s for _, s in pairs), rel=1e-4)


def test_nothing_is_left_out_in_silence(plain_model: MakeModel) -> None:
    long = [Message("user", "long " * 200), Message("assistant", "x")]
    with pytest.raises(ValueError, match="held-out conversation cannot be used.*too long"):
        held_out_losses(plain_model(), [long], max_length=64, progress=False)


def test_denoising_errors_leave_nothing_out(plain_model: MakeModel) -> None:
    good = tiny_conversations()[0]
    lost = [Message("user", "x"), Message("assistant", [Image("gone.png", caption="a cat")])]
    with pytest.raises(ValueError, match="held-out conversation cannot be used.*gone.png"):
        denoising_errors(plain_model(), [good, lost], load_recipe("tiny-3"))


def test_the_model_stays_as_it_is(plain_model: MakeModel) -> None:
    model = plain_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    held_out_losses(model, tiny_conversations()[:2], progress=False)
    assert not model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
