"""The paper's ablations at emoji-mini's scale: variants that differ in a single thing.

Input projectors (Table 5), number of signal tokens (Figure 6), what conditions the decoders
(Figures 5, 9 to 11), and the losses of the decoding side (section 4.2). All variants of one
ablation share the frozen parts, the seed, the data and the steps; `emoji_mini.variants` trains
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from anyweave.messages import Modality
from anyweave.model.checkpoint import find_checkpoint, read_spec
from anyweave.model.roles import ROLES, TrainedRole
from anyweave.model.spec import Bridge, ModelSpec, ProjectorSpec
from anyweave.training.config import ModelConfig, OptimizerConfig, TrainConfig
from anyweave.training.stages import Loss, Stage
from emoji_mini.parts.fit import FitOptions
from emoji_mini.recipes import stage1, stage2

START = "emoji_mini.variants:start"
SIGNAL_COUNTS = (1, 2, 4, 8, 16)
LOSSES: Mapping[str, Mapping[Loss, float]] = {
    "alignment": {"lm": 1.0, "alignment": 1.0},
    "denoising": {"lm": 1.0, "denoising": 1.0},
    "both": {"lm": 1.0, "alignment": 1.0, "denoising": 1.0},
}
LESSON_SCENES: Mapping[Modality, int] = {"image": 1500, "video": 500, "audio": 500}
_LESSON_STEPS = 4  # first-lesson steps per training step: they run no language model
_QFORMER = {"depth": 2, "mlp_ratio": 6}  # as many parameters as emoji-mini's grouping projector


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One column of a table. `start` holds the arguments of `emoji_mini.variants.start`."""

    name: str
    start: Mapping[str, Any]
    config: TrainConfig | None = None
    """How it is trained from there; None for no training. The caller sets the folders."""
    lesson: FitOptions | None = None
    """The input projector's first lesson (`parts.warmup`) before that."""
    scenes: Mapping[Modality, int] = field(default_factory=dict)
    """Training scenes of that lesson, by modality."""


def input_projectors(
    base: str = "emoji-mini",
    *,
    steps: int = 30,
    seed: int = 0,
    scenes: Mapping[Modality, int] | None = None,
) -> list[Variant]:
    """``grouping``, ``linear`` and ``qformer``, each giving the language model the same number of
    tokens.

    Projector and adapters start afresh, so that no variant profits from adapters trained on
    another's tokens. Every projector gets the same first lesson, then both learn captions together.
    """
    spec = read_spec(find_checkpoint(base))
    lesson = FitOptions(
        steps=_LESSON_STEPS * steps,
        batch_size=32,
        learning_rate=1e-3,
        warmup_steps=max(1, steps // 4),
        ema_decay=0.99,
        seed=seed,
    )
    stage = Stage(name="input_projector", trainable=("input_projectors", "lora"))
    recipe = replace(
        stage1(),
        stage=stage,
        optimizer=OptimizerConfig(learning_rate=5e-4, learning_rates={"lora": 1e-3}),
    )
    return [
        _variant(
            projector.type,
            base,
            {"input_projector": _as_json(projector)},
            recipe=recipe,
            steps=steps,
            seed=seed,
            lesson=lesson,
            scenes={m: (scenes or LESSON_SCENES)[m] for m in spec.input_modalities},
        )
        for projector in _projectors(spec)
    ]


def signal_tokens(
    base: str = "emoji-mini",
    *,
    steps: int = 30,
    seed: int = 0,
    counts: Sequence[int] | None = None,
) -> list[Variant]:
    """A given number of signal tokens per medium; what reads and emits them starts afresh.

    The base's input projector and adapters stay as they are: they know how to announce a medium.
    The losses are language and alignment; denoising would multiply the time.
    """
    spec = read_spec(find_checkpoint(base))
    stage = Stage(
        name="signal_tokens",
        trainable=("output_projectors", "signal_rows"),
        losses={"lm": 1.0, "alignment": 1.0},
    )
    return [
        _variant(
            str(count),
            base,
            {"signal_tokens": dict.fromkeys(spec.output_modalities, count), "bridge": "signal"},
            keep=("input_projectors", "lora"),
            recipe=replace(stage2(), stage=stage),
            steps=steps,
            seed=seed,
        )
        for count in counts or SIGNAL_COUNTS
    ]


def bridges(base: str = "emoji-mini") -> list[Variant]:
    """The base itself, with its decoders conditioned on signal states or on the words it speaks."""
    return [_variant(name, base, {"bridge": name}, keep=ROLES) for name in get_args(Bridge)]


def losses(base: str = "emoji-mini", *, steps: int = 30, seed: int = 0) -> list[Variant]:
    """Output projectors and signal rows trained from scratch by alignment with captions, by
    denoising, or by both. All see the same conversations. Only pictures are rendered and so
    denoised: clips and sounds learn by alignment or not at all.
    """
    recipe = stage2()
    data = replace(recipe.data, args={**recipe.data.args, "with_media": ["image"]})
    objective = replace(recipe.objective, denoising_fraction=1.0)
    return [
        _variant(
            name,
            base,
            {"bridge": "signal"},
            keep=("input_projectors", "lora"),
            recipe=replace(
                recipe,
                data=data,
                objective=objective,
                stage=Stage(
                    name="losses", trainable=("output_projectors", "signal_rows"), losses=weights
                ),
            ),
            steps=steps,
            seed=seed,
        )
        for name, weights in LOSSES.items()
    ]


def _projectors(spec: ModelSpec) -> list[ProjectorSpec]:
    grouping = spec.input_projector
    if not isinstance(grouping, ProjectorSpec) or grouping.type != "grouping":
        raise ValueError(
            f"the ablation of input projectors starts from a model with one grouping projector for "
            f"all media, {spec.name!r} has {grouping}"
        )
    tokens = grouping.args["tokens"][-1]
    shared = {k: v for k, v in grouping.args.items() if k in ("dim", "num_heads", "positions")}
    qformer = {"num_queries": tokens, **shared, **_QFORMER}
    return [
        grouping,
        replace(grouping, type="linear", args={"tokens": tokens}),
        replace(grouping, type="qformer", args=qformer),
    ]


def _as_json(projector: ProjectorSpec) -> dict[str, Any]:
    return {"type": projector.type, "args": dict(projector.args), "shared": projector.shared}


def _variant(
    name: str,
    base: str,
    changes: Mapping[str, Any],
    *,
    keep: Sequence[TrainedRole] = (),
    recipe: TrainConfig | None = None,
    steps: int = 0,
    seed: int = 0,
    **lesson: Any,
) -> Variant:
    start = {
        "base": base,
        "changes": {"name": f"{base}, {name}", **changes},
        "keep": list(keep),
        "seed": seed,
    }
    config = None
    if recipe is not None:
        # Only as many conversations as are read: bucketing goes through all of them first.
        size = min(recipe.data.args["size"], steps * recipe.data.batch_size)
        config = replace(
            recipe,
            name=name,
            model=ModelConfig(source=START, args=start),
            data=replace(recipe.data, args={**recipe.data.args, "size": size}),
            steps=steps,
            epochs=None,
            seed=seed,
        )
    return Variant(name=name, start=start, config=config, **lesson)
