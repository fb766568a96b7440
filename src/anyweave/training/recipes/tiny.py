"""The three stages on the tiny random model: seconds on a CPU, to try out the machinery."""

from __future__ import annotations

from dataclasses import replace

from anyweave.training.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from anyweave.training.stages import DECODING_ALIGNMENT, ENCODING_ALIGNMENT, INSTRUCTION_TUNING


def stage1() -> TrainConfig:
    return TrainConfig(
        name="tiny-1",
        stage=ENCODING_ALIGNMENT,
        model=ModelConfig(source="anyweave.testing.model:tiny_model"),
        data=DataConfig(source="anyweave.testing.conversations:tiny_conversations", batch_size=2),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        steps=20,
        log_every=5,
        output_dir="runs/tiny-1",
    )


def stage2() -> TrainConfig:
    return replace(stage1(), name="tiny-2", stage=DECODING_ALIGNMENT, output_dir="runs/tiny-2")


def stage3() -> TrainConfig:
    return replace(stage1(), name="tiny-3", stage=INSTRUCTION_TUNING, output_dir="runs/tiny-3")
