"""The paper's system in three stages with the values of its Table 7, for two memory sizes.

``paper-7b-1`` to ``-3``: one 80 GB GPU, or several through an accelerate config.
``paper-7b-24gb-1`` to ``-3``: the language model in 4 bits (QLoRA), smaller batches accumulated to
the same size, and no denoising loss, so no diffusion model is ever read.

The data are `messages` files (see `anyweave.data`) prepared by the user: ``data/stage1.jsonl`` and
so on. Stage 1 starts from the frozen parts of the spec ``paper-7b``; each stage continues the
previous one. Features, caption embeddings and latents share one cache.
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
from anyweave.training.stages import (
    DECODING_ALIGNMENT,
    ENCODING_ALIGNMENT,
    INSTRUCTION_TUNING,
    Loss,
)


def stage1() -> TrainConfig:
    """X-to-text captioning on CC3M, WebVid and AudioCaps; input projectors only."""
    return TrainConfig(
        name="paper-7b-1",
        stage=ENCODING_ALIGNMENT,
        model=ModelConfig(source="paper-7b"),
        data=_data("data/stage1.jsonl", batch_size=18),
        optimizer=OptimizerConfig(learning_rate=4e-4),
        epochs=1,
        precision="bf16",
        gradient_checkpointing=True,
        cache_dir="cache/paper-7b",
        output_dir="runs/paper-7b-1",
    )


def stage2() -> TrainConfig:
    """Captions to signal tokens, their alignment with the decoders and latent denoising.

    Denoising is by far the costliest loss (a clip costs ten times the language model). The paper
    does not say how often it is computed; here it is every tenth step.
    """
    return replace(
        stage1(),
        name="paper-7b-2",
        stage=DECODING_ALIGNMENT,
        model=ModelConfig(source="runs/paper-7b-1/model"),
        data=_data("data/stage2.jsonl", batch_size=8),
        objective=ObjectiveConfig(alignment_mode="euclidean", denoising_fraction=0.1),
        output_dir="runs/paper-7b-2",
    )


def stage3() -> TrainConfig:
    """LLaVA-150K, VideoChat, Alpaca, T2M and MosIT; adapters and all projectors."""
    return replace(
        stage2(),
        name="paper-7b-3",
        stage=INSTRUCTION_TUNING,
        model=ModelConfig(source="runs/paper-7b-2/model"),
        data=_data("data/stage3.jsonl", batch_size=4),
        optimizer=OptimizerConfig(learning_rate=5e-4),
        output_dir="runs/paper-7b-3",
    )


def stage1_24gb() -> TrainConfig:
    """Stage 1 with the language model in 4 bits."""
    return _in_24_gb(stage1(), together=2)


def stage2_24gb() -> TrainConfig:
    """Stage 2 with the language model in 4 bits, aligned with caption embeddings alone."""
    return _in_24_gb(stage2(), together=2)


def stage3_24gb() -> TrainConfig:
    """Stage 3 as QLoRA, aligned with caption embeddings alone."""
    return _in_24_gb(stage3(), together=1)


def _in_24_gb(config: TrainConfig, *, together: int) -> TrainConfig:
    name = config.name.replace("paper-7b", "paper-7b-24gb")
    losses: dict[Loss, float] = {
        loss: w for loss, w in config.stage.losses.items() if loss != "denoising"
    }
    return replace(
        config,
        name=name,
        stage=replace(config.stage, losses=losses),
        model=ModelConfig(
            source=config.model.source.replace("runs/paper-7b", "runs/paper-7b-24gb"),
            args={"quantization": "nf4"},
        ),
        data=replace(config.data, batch_size=together),
        grad_accumulation=config.data.batch_size // together,
        output_dir=f"runs/{name}",
    )


def _data(path: str, batch_size: int) -> DataConfig:
    return DataConfig(
        source="anyweave.data:MessagesJsonl",
        args={"path": path},
        batch_size=batch_size,
        max_length=512,
        num_workers=4,
    )
