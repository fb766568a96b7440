"""The three stages of the shipped model, on conversations of the emoji world.

``anyweave train part emoji-mini`` makes ``runs/parts/emoji-mini`` (frozen parts and an input
projector that has had its first lesson); each stage continues the one before.
"""

from __future__ import annotations

from dataclasses import replace

from anyweave.messages import Modality
from anyweave.training.config import (
    DataConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    TrainConfig,
)
from anyweave.training.stages import DECODING_ALIGNMENT, ENCODING_ALIGNMENT, INSTRUCTION_TUNING


def stage1() -> TrainConfig:
    """Captions of pictures, clips and sounds; only the input projector learns."""
    return TrainConfig(
        name="emoji-mini-1",
        stage=ENCODING_ALIGNMENT,
        model=ModelConfig(source="runs/parts/emoji-mini"),
        data=_data("stage1", size=6000, with_media=False),
        optimizer=OptimizerConfig(learning_rate=5e-4, warmup_ratio=0.05),
        steps=100,
        precision="bf16",
        checkpoint_every=50,
        log_every=10,
        output_dir="runs/emoji-mini-1",
    )


def stage2() -> TrainConfig:
    """Requests and what shows them: signal rows and output projectors, aligned with captions and by
    denoising.
    """
    return replace(
        stage1(),
        name="emoji-mini-2",
        stage=DECODING_ALIGNMENT,
        model=ModelConfig(source="runs/emoji-mini-1/model"),
        data=_data("stage2", size=6000, with_media=False),
        optimizer=OptimizerConfig(
            learning_rate=1e-3, learning_rates={"signal_rows": 3e-3}, warmup_ratio=0.05
        ),
        objective=_OBJECTIVE,
        steps=60,
        output_dir="runs/emoji-mini-2",
    )


def stage3() -> TrainConfig:
    """Everything that may learn, on talk of all kinds, a quarter of it words alone.

    Clips and sounds are aligned with their captions only: denoising them is too dear for a laptop.
    """
    return replace(
        stage2(),
        name="emoji-mini-3",
        stage=INSTRUCTION_TUNING,
        model=ModelConfig(source="runs/emoji-mini-2/model"),
        data=_data("stage3", size=60_000, with_media=["image"]),
        optimizer=OptimizerConfig(
            learning_rate=6e-4,
            learning_rates={"lora": 1e-3, "input_projectors": 2e-4, "signal_rows": 2e-3},
            warmup_ratio=0.03,
            # Alignment's gradients are tens of times the language loss's: clipping the common norm
            # would leave language next to nothing in the steps that have both.
            clip=0.0,
        ),
        steps=700,
        output_dir="runs/emoji-mini-3",
    )


def mosit() -> TrainConfig:
    """Stage 3 goes on with dialogues and chats as people write them (``anyweave data emoji``)."""
    before = stage3()
    return replace(
        before,
        name="emoji-mini-mosit",
        model=ModelConfig(source="runs/emoji-mini-3/model"),
        data=DataConfig(
            source="emoji_mini.world.sources:written_source",
            args={
                "folder": "runs/emoji",
                "datasets": ["emoji-mosit", "emoji-chats"],
                "looked_at": 3000,
            },
            batch_size=32,
            max_padded_tokens=_PADDED_TOKENS,
            max_length=448,
        ),
        optimizer=replace(
            before.optimizer,
            learning_rate=3e-4,
            learning_rates={"lora": 7e-4, "input_projectors": 1e-4, "signal_rows": 1e-3},
        ),
        # No pixels are rendered for what the assistant shows: captions are aligned, nothing is
        # denoised.
        objective=replace(_OBJECTIVE, denoising_fraction=0.0),
        steps=520,
        output_dir="runs/emoji-mini-mosit",
    )


# In a forward: a laptop's memory (see docs/speed.md), and on its cores faster than all at once.
_PADDED_TOKENS = 1024

# What a caption's embedding says of its objects is a seventh of its variance (the rest is count,
# place and position), so alignment weighs more than the language loss. CLAP's unit vector of 128
# numbers has squared differences 128 times smaller.
_OBJECTIVE = ObjectiveConfig(
    alignment_mode="mse",
    alignment_weights={"image": 2.0, "video": 2.0, "audio": 128.0},
    denoising_fraction=0.02,
)


def _data(stage: str, *, size: int, with_media: bool | list[Modality]) -> DataConfig:
    return DataConfig(
        source="emoji_mini.world.sources:stage_source",
        args={"stage": stage, "split": "train", "size": size, "with_media": with_media},
        batch_size=32,
        max_padded_tokens=_PADDED_TOKENS,
        max_length=256,
    )
