"""The contrast loss: captions are told apart by the states at signal tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from anyweave.model.any_to_any import NextGPT
from anyweave.testing.conversations import tiny_conversations
from anyweave.training.config import ObjectiveConfig, TrainConfig
from anyweave.training.contrast import CaptionContrast, caption_contrasts
from anyweave.training.features import FrozenFeatures
from anyweave.training.report import read_log
from anyweave.training.trainer import Trainer

MakeModel = Callable[..., NextGPT]
MakeConfig = Callable[..., TrainConfig]
NAMES = [f"caption {n}" for n in range(40)]


def _embeddings(seed: int = 0) -> torch.Tensor:
    """Forty captions of three tokens that differ in twelve directions of many sizes."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(24, 12, generator=generator)).Q
    spread = torch.linspace(3.0, 1.0, 12)
    found = torch.randn(40, 12, generator=generator) * spread @ basis.T + 5.0
    return found.reshape(40, 3, 8)


def _contrasting(config: MakeConfig, **changes: object) -> TrainConfig:
    run = config("decoding_alignment", **changes)
    return replace(run, stage=replace(run.stage, losses={"lm": 1.0, "contrast": 1.0}))


def test_states_that_tell_captions_apart_cost_nothing() -> None:
    embeddings = _embeddings()
    contrast = CaptionContrast(NAMES, embeddings, hidden_dim=12)
    assert contrast.measure.shape == (24, contrast.others.shape[1])
    states = torch.randn(6, 2, 12, generator=torch.Generator().manual_seed(1))
    losses = contrast.losses(states, embeddings[:6], NAMES[:6], 0.07)
    assert losses.shape == (6,)
    assert losses.min() > 1  # it knows nothing yet: forty captions are log 40 = 3.7
    # A head that reads the coordinates themselves.
    with torch.no_grad():
        seen = torch.nn.functional.layer_norm(states, (12,)).mean(1)
        contrast.head.weight.copy_(torch.linalg.lstsq(seen, contrast.others[:6]).solution.T)
        contrast.head.bias.zero_()
        right = contrast.losses(states, embeddings[:6], NAMES[:6], 0.07)
        wrong = contrast.losses(states.roll(1, 0), embeddings[:6], NAMES[:6], 0.07)
    assert right.max() < 0.1
    assert (wrong > right).all()


def test_a_caption_is_not_told_from_itself_and_unseen_padding_does_not_count() -> None:
    embeddings = _embeddings()
    states = torch.randn(1, 2, 12)
    # Alone with its own caption there is nothing left to confuse.
    alone = CaptionContrast(NAMES[:2], embeddings[:2], hidden_dim=12)
    alone.captions = ("it", "it")
    nothing = alone.losses(states, embeddings[:1], ["it"], 0.07).detach()
    assert float(nothing) == pytest.approx(0, abs=1e-6)
    padded = embeddings.clone()
    padded[:20, 2] = torch.nan
    short = CaptionContrast(NAMES, padded, hidden_dim=12)
    assert all(torch.isfinite(buffer).all() for buffer in short.buffers())
    assert torch.isfinite(short.losses(states, padded[:1], NAMES[:1], 0.07)).all()
    with pytest.raises(ValueError, match="at least two captions, got 1"):
        CaptionContrast(NAMES[:1], embeddings[:1], hidden_dim=12)


def test_a_loss_does_not_depend_on_what_else_is_in_the_batch() -> None:
    embeddings = _embeddings()
    contrast = CaptionContrast(NAMES, embeddings, hidden_dim=12)
    states = torch.randn(5, 2, 12)
    whole = contrast.losses(states, embeddings[:5], NAMES[:5], 0.07)
    single = [
        contrast.losses(states[n : n + 1], embeddings[n : n + 1], NAMES[n : n + 1], 0.07)
        for n in range(5)
    ]
    assert torch.allclose(whole, torch.cat(single), atol=1e-5)


def test_a_run_with_it_learns_and_continues_exactly(
    plain_model: MakeModel, config: MakeConfig
) -> None:
    """The heads are in checkpoints, and reach the signal rows through the language model."""
    whole, parts = (_contrasting(config, run=run, steps=6) for run in ("whole", "parts"))
    model, again = plain_model(), plain_model()
    before = {n: p.detach().clone() for n, p in model.parameters_of("signal_rows").items()}
    Trainer(model, whole, tiny_conversations()).train()
    moved = model.parameters_of("signal_rows")
    assert all(not torch.equal(before[name], moved[name]) for name in before)
    records = read_log(f"{whole.output_dir}/log.jsonl")
    assert any(name.startswith("contrast/") for r in records for name in r["losses"])

    first = Trainer(again, parts, tiny_conversations())
    first.interruption.requested = True  # stops after the first step
    assert first.train().interrupted
    Trainer(plain_model(), parts, tiny_conversations()).train(resume=True)
    resumed = read_log(f"{parts.output_dir}/log.jsonl")
    assert [r["losses"] for r in resumed] == [r["losses"] for r in records]


def test_micro_batches_equal_one_batch(plain_model: MakeModel, config: MakeConfig) -> None:
    order = {"shuffle": False}
    whole = _contrasting(config, run="whole", steps=2, data={"batch_size": 4, **order})
    parts = _contrasting(
        config, run="parts", steps=2, grad_accumulation=4, data={"batch_size": 1, **order}
    )
    for run in (whole, parts):
        Trainer(plain_model(), run, tiny_conversations()[:4]).train()
    one, other = (read_log(f"{run.output_dir}/log.jsonl") for run in (whole, parts))
    for a, b in zip(one, other, strict=True):
        assert a["losses"] == pytest.approx(b["losses"], rel=1e-3)


def test_a_modality_without_captions_is_told(
    plain_model: MakeModel, caplog: pytest.LogCaptureFixture
) -> None:
    frozen = FrozenFeatures(plain_model())
    found = caption_contrasts(frozen, tiny_conversations(), 1)
    with caplog.at_level(logging.WARNING):
        assert caption_contrasts(frozen, tiny_conversations()[:1], 5) == {}
    assert "no contrast loss for image" in caplog.text
    assert set(found) <= {"image", "video", "audio"}


def test_its_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="contrast_temperature must be above 0"):
        ObjectiveConfig(contrast_temperature=0)
    with pytest.raises(ValueError, match="contrast_conversations"):
        ObjectiveConfig(contrast_conversations=1)
