"""Fine-tuning of a trained checkpoint on your own data: low rates, a schedule, a cache.

A model's own settings come with it, as `ModelSpec.fine_tuning`. A stage uses this recipe when it is
given a checkpoint and no recipe.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from anyweave.model.any_to_any import NextGPT
from anyweave.model.build import describes
from anyweave.model.catalogue import is_spec_name, named_spec
from anyweave.model.checkpoint import find_checkpoint, read_spec
from anyweave.model.roles import TrainedRole
from anyweave.model.spec import ModelSpec
from anyweave.tensors import multiplies_bfloat16
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
    Stage,
)

_STAGES: dict[int, Stage] = {1: ENCODING_ALIGNMENT, 2: DECODING_ALIGNMENT, 3: INSTRUCTION_TUNING}


def fine_tune(number: int, model: str | Path | NextGPT) -> TrainConfig:
    """Stage `number` (1 to 3) from `model`: a name, folder or hub id, or one in memory.

    Rates are a fraction of those of initial training, to preserve what was learned. The model's own
    `fine_tuning` takes precedence; the data are still to be set. Raises `ValueError` for a model
    that is not found, or with nothing to train in this stage, and for unknown settings in its
    `fine_tuning`.
    """
    name, spec = _named(model)
    stage = _STAGES[number]
    kept = tuple(role for role in stage.trainable if _has(spec, role))
    if not kept:
        raise ValueError(
            f"{name} has nothing that stage {number} trains ({', '.join(stage.trainable)}); give "
            "its spec adapters (lora), projectors or signal tokens"
        )
    stage = replace(stage, trainable=kept)
    output = Path("runs") / f"{name}-fine-tuned-{number}"
    config = TrainConfig(
        name=f"fine-tune-{number}",
        stage=stage,
        model=ModelConfig(source=str(model) if isinstance(model, (str, Path)) else name),
        data=DataConfig(source="anyweave.data:MessagesJsonl", batch_size=8),
        optimizer=OptimizerConfig(learning_rate=1e-4, schedule="cosine", warmup_ratio=0.05),
        objective=ObjectiveConfig(denoising_fraction=0.1),
        epochs=3,
        precision="bf16" if multiplies_bfloat16() else "fp32",
        checkpoint_every=100,
        log_every=10,
        output_dir=str(output),
    )
    own = [f"{key}={json.dumps(value)}" for key, value in spec.fine_tuning.items()]
    return config.with_overrides(own)


def _has(spec: ModelSpec, role: TrainedRole) -> bool:
    has = {
        "lora": spec.lora is not None,
        "signal_rows": bool(spec.signal_tokens),
        "output_projectors": bool(spec.output_projectors),
        "input_projectors": any(not describes(part) for part in spec.encoders),
    }
    return has[role]


def _named(model: str | Path | NextGPT) -> tuple[str, ModelSpec]:
    if isinstance(model, NextGPT):
        return model.spec.name, model.spec
    if is_spec_name(model):
        return str(model), named_spec(str(model))
    folder = find_checkpoint(model)
    return folder.name, read_spec(folder)
