"""Sharding over two processes on the CPU: the same losses, a share of the base each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.distributed.tensor import DTensor

from anyweave.messages import Conversation, Image, Message
from anyweave.model import NextGPT
from anyweave.testing.conversations import tiny_conversations
from anyweave.training.config import ObjectiveConfig, TrainConfig
from anyweave.training.report import read_log
from anyweave.training.trainer import Trainer

MakeModel = Callable[..., NextGPT]
MakeConfig = Callable[..., TrainConfig]
InProcesses = Callable[..., list[int]]

FSDP2 = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true"}


def _assert_same(one: TrainConfig, other: TrainConfig) -> None:
    logs = [read_log(Path(run.output_dir) / "log.jsonl") for run in (one, other)]
    assert logs[0]
    for left, right in zip(*logs, strict=True):
        assert left["losses"] == pytest.approx(right["losses"], rel=1e-4)
        assert left["grad_norm"] == pytest.approx(right["grad_norm"], rel=1e-3)
        assert left["samples"] == right["samples"]


def _source(folder: Path) -> list[Conversation]:
    """Every second conversation has no user medium, and one cannot be read at all: in stage 1 a
    process then has nothing to learn, or nothing to run.
    """
    broken: Conversation = [
        Message("user", [Image(folder / "gone.png"), "what?"]),
        Message("assistant", "x"),
    ]
    return [*tiny_conversations()[:4], broken, tiny_conversations()[6]]


@pytest.mark.parametrize("stage", ["encoding_alignment", "instruction_tuning"])
def test_a_sharded_base_trains_as_a_whole_one(
    stage: str,
    plain_model: MakeModel,
    config: MakeConfig,
    in_processes: InProcesses,
    tmp_path: Path,
) -> None:
    common = {
        "steps": 3,
        "gradient_checkpointing": stage == "instruction_tuning",
        "objective": ObjectiveConfig(denoising_fraction=0.3),
    }
    order = {"shuffle": False, "bucketing": False}
    single = config(stage, run="single", data={"batch_size": 4, **order}, **common)
    # Two each in at most 100 padded tokens: the processes need other numbers of forwards.
    pair = config(
        stage, run="pair", data={"batch_size": 2, "max_padded_tokens": 100, **order}, **common
    )
    Trainer(plain_model(), single, _source(tmp_path)).train()

    def work() -> None:
        model = plain_model()
        whole = sum(p.numel() for p in model.language.model.model.layers.parameters())
        trainer = Trainer(model, pair, _source(tmp_path))
        layers = model.language.model.model.layers
        frozen = [p for p in layers.parameters() if isinstance(p, DTensor)]
        kept = [p for p in layers.parameters() if not isinstance(p, DTensor)]
        assert len(kept) == len(model.parameters_of("lora"))
        here = sum(p.to_local().numel() for p in frozen) + sum(p.numel() for p in kept)
        assert here < 0.6 * whole
        before = [p.to_local().clone() for p in frozen]
        trainer.train()
        assert all(torch.equal(p.to_local(), b) for p, b in zip(frozen, before, strict=True))

    assert in_processes(2, work, **FSDP2) == [0, 0]
    _assert_same(single, pair)
    saved = Path(pair.output_dir) / "model" / f"{single.stage.trainable[0]}.safetensors"
    assert saved.is_file()


def test_what_sharding_rules_out_is_said(
    plain_model: MakeModel,
    config: MakeConfig,
    in_processes: InProcesses,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def work() -> None:
        with pytest.raises(ValueError, match="sample_every=0"):
            Trainer(plain_model(), config(sample_every=1), tiny_conversations())
        model = plain_model()
        model.language.model.is_loaded_in_4bit = True
        with pytest.raises(ValueError, match="4-bit language model cannot be sharded"):
            Trainer(model, config(), tiny_conversations())

    assert in_processes(2, work, **FSDP2) == [0, 0], capfd.readouterr().err


def test_fsdp_one_is_refused(
    plain_model: MakeModel, config: MakeConfig, in_processes: InProcesses
) -> None:
    def work() -> None:
        with pytest.raises(ValueError, match="set fsdp_version: 2"):
            Trainer(plain_model(), config(), tiny_conversations())

    assert in_processes(2, work, ACCELERATE_USE_FSDP="true", FSDP_VERSION="1") == [0, 0]
