"""The paper's three stages with the numbers of its Table 7.

The data are `messages` files (see `anyweave.data`) that the user has prepared:
``data/stage1.jsonl`` and so on. The model of stage 1 is a checkpoint folder with fresh projectors,
``models/paper-7b``; each stage continues the one before.
"""

from __future__ import annotations

from dataclasses import replace

from anyweave.training.config import (
    DataConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    TrainConfig,
)
from anyweave.training.stages import DECODING_ALIGNMENT, ENCODING_ALIGNMENT, INSTRUCTION_TUNING


def stage1() -> TrainConfig:
    """X-to-text captioning on CC3M, WebVid and AudioCaps; input projectors only."""
    return TrainConfig(
        name="paper-1",
        stage=ENCODING_ALIGNMENT,
        model=ModelConfig(source="models/paper-7b", args={"dtype": "bfloat16"}),
        data=_data("data/stage1.jsonl", batch_size=18),
        optimizer=OptimizerConfig(learning_rate=4e-4),
        epochs=1,
        output_dir="runs/paper-1",
    )


def stage2() -> TrainConfig:
    """Captions to signal tokens, their alignment with the decoders and latent denoising."""
    return replace(
        stage1(),
        name="paper-2",
        stage=DECODING_ALIGNMENT,
        model=ModelConfig(source="runs/paper-1/model", args={"dtype": "bfloat16"}),
        data=_data("data/stage2.jsonl", batch_size=8),
        objective=ObjectiveConfig(alignment_mode="euclidean"),
        output_dir="runs/paper-2",
    )


def stage3() -> TrainConfig:
    """LLaVA-150K, VideoChat, Alpaca, T2M and MosIT; adapters and all projectors."""
    return replace(
        stage2(),
        name="paper-3",
        stage=INSTRUCTION_TUNING,
        model=ModelConfig(source="runs/paper-2/model", args={"dtype": "bfloat16"}),
        data=_data("data/stage3.jsonl", batch_size=4),
        optimizer=OptimizerConfig(learning_rate=5e-4),
        gradient_checkpointing=True,
        output_dir="runs/paper-3",
    )


def _data(path: str, batch_size: int) -> DataConfig:
    return DataConfig(
        source="anyweave.data:MessagesJsonl",
        args={"path": path},
        batch_size=batch_size,
        max_length=512,
        num_workers=4,
    )
