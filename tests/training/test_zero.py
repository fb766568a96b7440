from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import DistributedType
from accelerate.state import PartialState

from anyweave.model import NextGPT
from anyweave.testing.conversations import tiny_conversations
from anyweave.training.config import ObjectiveConfig, TrainConfig
from anyweave.training.features import FrozenFeatures, Renderer
from anyweave.training.report import read_log
from anyweave.training.trainer import Trainer
from anyweave.training.zero import with_every_modality

MakeModel = Callable[..., NextGPT]
MakeConfig = Callable[..., TrainConfig]
InProcesses = Callable[..., list[int]]


def test_absent_modalities_enter_with_no_rows_and_change_nothing(plain_model: MakeModel) -> None:
    model = plain_model()
    frozen = FrozenFeatures(model)
    rendered = [
        Renderer(frozen.processor(), tiny_conversations())(index, load_targets=False)
        for index in (0, 5)  # a picture in, a sound out
    ]
    batch = frozen.batch(frozen.complete(rendered, latents=False), captions=True)
    assert (list(batch.media), list(batch.targets)) == (["image"], ["audio"])
    padded = with_every_modality(model, batch)
    assert list(padded.media) == list(padded.targets) == ["image", "video", "audio"]
    with torch.no_grad():
        plain, full = model(batch), model(padded)
    assert torch.equal(plain.logits, full.logits)
    assert torch.equal(plain.conditioning["audio"], full.conditioning["audio"])
    assert full.conditioning["image"].shape[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("zero_stage", ["2", "3"])
def test_zero_trains_as_one_process_does(
    zero_stage: str,
    plain_model: MakeModel,
    config: MakeConfig,
    in_processes: InProcesses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("deepspeed")
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    # Adam moves what no process used too if its gradient is zero, and ZeRO knows only zeros.
    source = [tiny_conversations()[index] for index in (0, 1, 2, 3)]
    common = {"steps": 2, "objective": ObjectiveConfig(denoising_fraction=0.0)}
    order = {"shuffle": False, "bucketing": False}
    single = config(run="single", data={"batch_size": 4, **order}, **common)
    pair = config(run="pair", data={"batch_size": 1, **order}, grad_accumulation=2, **common)
    Trainer(plain_model(), single, source).train()
    # accelerate knows no DeepSpeed on the CPU unless it is told what to talk through.
    through = ("gloo", DistributedType.MULTI_CPU)
    monkeypatch.setattr(PartialState, "_prepare_backend", lambda self, *_: through)
    environment = {
        "ACCELERATE_TORCH_DEVICE": "cpu",
        "ACCELERATE_USE_CPU": "false",
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": zero_stage,
        "ACCELERATE_DEEPSPEED_ZERO3_INIT": "false",
    }

    def work() -> None:
        trainer = Trainer(plain_model(), pair, source)
        assert type(trainer.parallel).__name__ == "Zero"
        trainer.train()

    assert in_processes(2, work, **environment) == [0, 0]
    logs = [read_log(Path(run.output_dir) / "log.jsonl") for run in (single, pair)]
    for left, right in zip(*logs, strict=True):
        assert left["losses"] == pytest.approx(right["losses"], rel=1e-4)
        assert left["grad_norm"] == pytest.approx(right["grad_norm"], rel=1e-3)
    moved = NextGPT.from_pretrained(Path(pair.output_dir) / "model")
    fresh = plain_model()
    for role in pair.stage.trainable:
        one, other = moved.parameters_of(role), fresh.parameters_of(role)
        assert any(bool((one[name] != other[name]).any()) for name in one)
        assert all(bool(torch.isfinite(value).all()) for value in one.values())
