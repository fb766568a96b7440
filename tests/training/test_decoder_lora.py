"""Decoders that learn: the same loop, the same loss, and nothing but adapters changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import anyweave as aw
from anyweave.messages import Conversation, Message
from anyweave.model import NextGPT
from anyweave.model.checkpoint import role_tensors
from anyweave.testing.conversations import tiny_conversations, tiny_media
from anyweave.testing.model import tiny_model
from anyweave.training.config import TrainConfig
from anyweave.training.report import read_log
from anyweave.training.stages import Stage
from anyweave.training.trainer import Trainer

MakeConfig = Callable[..., TrainConfig]
BOTH = Stage(
    name="both",
    trainable=("output_projectors", "decoder_lora"),
    losses={"alignment": 1.0, "denoising": 1.0},
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model().save_pretrained(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def model(checkpoint: Path) -> Callable[..., NextGPT]:
    lora: Any = {m: {"r": 2} for m in ("image", "audio")}
    return lambda bridge="caption": aw.load(checkpoint, bridge=bridge, decoder_lora=lora)


def shown() -> list[Conversation]:
    """The tiny conversations without clips, which take most of the time."""
    return [
        conversation
        for conversation in tiny_conversations()
        if not any(part.modality == "video" for m in conversation for part in m.media())
    ]


def losses(config: TrainConfig) -> list[dict[str, float]]:
    return [record["losses"] for record in read_log(Path(config.output_dir) / "log.jsonl")]


def test_adapters_learn_and_nothing_else_moves(
    model: Callable[..., NextGPT], config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = model()
    decoders = [trained.decoders[m] for m in ("image", "audio")]
    before = [{n: p.clone() for n, p in d.named_parameters() if "lora_" not in n} for d in decoders]
    system = {n: p.clone() for n, p in trained.named_parameters()}
    adapters = {n: p.clone() for n, p in trained.parameters_of("decoder_lora").items()}
    # What conditions decoders under this bridge needs no language model.
    monkeypatch.setattr(trained.language, "forward", None)
    run = config("decoder_tuning", steps=4, data={"batch_size": 8})
    unnamed = [Message("user", "show"), Message("assistant", [tiny_media("image", 40)])]
    report = Trainer(trained, run, [*shown(), unnamed]).train()
    assert "without a caption" in str(report.skipped)
    assert set(report.losses) == {f"denoising/{m}" for m in ("image", "audio")}
    for decoder, kept in zip(decoders, before, strict=True):
        now = dict(decoder.named_parameters())
        assert all(torch.equal(value, now[name]) for name, value in kept.items())
    assert all(torch.equal(p, system[n]) for n, p in trained.named_parameters())
    moved = trained.parameters_of("decoder_lora")
    assert all(not torch.equal(p, adapters[n]) for n, p in moved.items() if "lora_B" in n)
    again = aw.load(Path(run.output_dir) / "model")
    for name, value in role_tensors(trained, "decoder_lora").items():
        assert torch.equal(value, again.parameters_of("decoder_lora")[name])


@pytest.mark.parametrize("bridge", ["signal", "caption"])
def test_the_bridge_says_what_conditions_them(
    bridge: str, model: Callable[..., NextGPT], config: MakeConfig
) -> None:
    """With the caption's own embedding, the projector's first error does not count, and only
    alignment reaches it.
    """
    run = config(stage="decoder_tuning", run=bridge)
    trained = model(bridge)
    trainer = Trainer(trained, replace(run, stage=BOTH), shown())
    batches = trainer._batches(0, [[trainer.renderer(1, load_targets=True)]], True)
    projector = trained.parameters_of("output_projectors")
    counts = {"denoising/image": 1.0, "alignment/image": 1.0}
    for name, parameter in trained.parameters_of("decoder_lora").items():
        if "lora_B" in name:
            parameter.data.fill_(0.01)
    trainer.model.train()
    trainer.parallel.adopt(trained, trainer.parameters, trainer.optimizer)
    both = trainer._backward(0, batches, counts, True)
    reached = {n: p.grad.clone() for n, p in projector.items() if p.grad is not None}
    with torch.no_grad():
        for name, parameter in projector.items():
            if name.startswith("image"):
                parameter.mul_(3.0)
    other = trainer._backward(0, batches, counts, True)
    assert reached
    assert both["alignment/image"] != other["alignment/image"]
    assert (both["denoising/image"] == other["denoising/image"]) is (bridge == "caption")
    learned = trained.parameters_of("decoder_lora")
    assert any(p.grad is not None and p.grad.any() for p in learned.values())


def test_resumed_and_cached_runs_equal_whole_ones(
    model: Callable[..., NextGPT], config: MakeConfig, tmp_path: Path
) -> None:
    data = {"batch_size": 7}
    whole = config("decoder_tuning", steps=3, data=data, run="whole")
    Trainer(model(), whole, shown()).train()
    cached = {"cache_dir": str(tmp_path / "cache"), "checkpoint_every": 1}
    parts = config("decoder_tuning", steps=3, data=data, run="parts", **cached)
    first = Trainer(model(), parts, shown())
    kept = first._after_step

    def stop() -> None:
        kept()
        if first.progress.step == 1:
            first.interruption.requested = True

    first._after_step = stop  # type: ignore[method-assign]
    assert first.train().interrupted
    resumed = model()
    Trainer(resumed, parts, shown()).train(resume=True)
    for one_step, other_step in zip(losses(parts), losses(whole), strict=True):
        assert one_step == pytest.approx(other_step)
    one, other = (aw.load(Path(c.output_dir) / "model") for c in (whole, parts))
    for name, parameter in one.parameters_of("decoder_lora").items():
        torch.testing.assert_close(parameter, other.parameters_of("decoder_lora")[name])
