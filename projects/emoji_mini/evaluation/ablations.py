"""The paper's ablations from end to end: train every variant, measure it, write one table.

Resumable: nothing is trained or measured twice. The models come from `emoji_mini.variants`, which
alone may build them; what they say and show is asked through `generation`, as in every benchmark.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anyweave.evaluation.metrics import Figure, Ratio
from anyweave.files import read_object, write_json
from anyweave.generation import GenerationOptions
from anyweave.processing import FeatureCache
from anyweave.training.held_out import HeldOutLosses, held_out_losses
from emoji_mini import ablation_recipes as recipes
from emoji_mini.emoji_talk import Dialogues
from emoji_mini.emoji_talk.talk import KIND
from emoji_mini.evaluation.comparison import Comparison, Measured, check_same_settings
from emoji_mini.evaluation.judging import Judges
from emoji_mini.evaluation.run import run_world
from emoji_mini.variants import trained

logger = logging.getLogger(__name__)

# What the replies to "describe" and "make" are judged by in the tables.
_FACTS = {"image": "object", "video": "object", "audio": "sound"}
_HELD_OUT = 4  # conversations per trial for losses: a forward pass is much cheaper than a reply
MAX_NEW_TOKENS = 64  # no canonical caption with its lead-in is longer


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a variant is measured. `folder` is its own, `cache` shared by all."""

    folder: Path
    cache: Path
    trials: int
    seed: int
    judges: Judges | None = None


Measure = Callable[[Any, Setting], Mapping[str, Figure]]


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """`variants` takes the base checkpoint, the steps and the seed."""

    title: str
    about: str
    variants: Callable[[str, int, int], list[recipes.Variant]]
    measure: Measure


def run_ablation(
    name: str,
    folder: str | Path,
    *,
    report: str | Path | None = None,
    base: str = "emoji-mini",
    steps: int = 30,
    trials: int = 16,
    seed: int = 0,
    device: str = "cpu",
    judges: Judges | None = None,
    overwrite: bool = False,
) -> Comparison:
    """Train and measure all variants of an ablation (a name of `ABLATIONS`) and write its table.

    Args:
        folder: runs, features and measurements; the same call resumes a stopped run.
        report: where ``NAME.md`` and ``NAME.json`` go; None means `folder`.
        base: the checkpoint whose frozen parts are used.
        steps: training steps, the same for every variant.
        overwrite: replace a table made with other settings in `report`.
        trials: replies per measure; losses use four conversations for each.

    Raises:
        ValueError: an unknown ablation, a number below 1, or a folder that holds other runs.
    """
    if name not in ABLATIONS:
        raise ValueError(f"no ablation {name!r}; there are {', '.join(ABLATIONS)}")
    if min(steps, trials) < 1:
        raise ValueError(f"steps and trials are at least 1, got steps={steps} trials={trials}")
    ablation, folder = ABLATIONS[name], Path(folder)
    settings = {"base": base, "steps": steps, "trials": trials, "seed": seed}
    tables = folder if report is None else Path(report)
    if not overwrite:
        check_same_settings(tables, name, settings)
    columns: dict[str, Measured] = {}
    for variant in ablation.variants(base, steps, seed):
        setting = Setting(
            folder=folder / variant.name,
            cache=folder / "cache",
            trials=trials,
            seed=seed,
            judges=judges,
        )
        logger.info("%s: %s", name, variant.name)
        columns[variant.name] = _measured(ablation, variant, setting, device)
    comparison = Comparison(
        name=name,
        title=ablation.title,
        about=ablation.about,
        settings=settings,
        columns=columns,
    )
    comparison.save(tables)
    return comparison


def _measured(
    ablation: Ablation, variant: recipes.Variant, setting: Setting, device: str
) -> Measured:
    """The measurement stored in the variant's folder, or a new one."""
    path = setting.folder / "measured.json"
    how = {"trials": setting.trials, "seed": setting.seed}
    model = trained(variant, setting.folder, setting.cache)
    if path.is_file():
        stored = read_object(path)
        if stored["how"] == how:
            return Measured.from_dict(stored["measured"])
    roles = () if variant.config is None else variant.config.stage.trainable
    measured = Measured(
        parameters={
            role: sum(parameter.numel() for parameter in model.parameters_of(role).values())
            for role in roles
        },
        figures=ablation.measure(model.to(device), setting),
    )
    write_json(path, {"how": how, "measured": asdict(measured)}, indent=1)
    return measured


def perception(model: Any, setting: Setting) -> dict[str, Figure]:
    """Caption loss on held-out media, and whether the words name what is seen or heard."""
    figures: dict[str, Figure] = {}
    modalities = model.spec.input_modalities
    for modality in modalities:
        losses = _losses(model, f"describe {KIND[modality]}", setting)
        ratio = Ratio.of(losses.language)
        figures[f"caption loss, {modality} (nats per token)"] = Figure.of(ratio)
    report = run_world(
        model,
        setting.folder / "describe",
        num_trials=setting.trials,
        seed=setting.seed,
        overwrite=True,
        tasks=[f"describe {modality}" for modality in modalities],
        options=GenerationOptions(
            max_new_tokens=MAX_NEW_TOKENS, temperature=0.0, modalities=("text",)
        ),
        judges=setting.judges,
    )
    for modality in modalities:
        share = report.tasks[f"describe {modality}"].figures[_FACTS[modality]]
        figures[f"{_FACTS[modality]} named, {modality}"] = Figure.of(share)
    return figures


def alignment(model: Any, setting: Setting) -> dict[str, Figure]:
    """How far conditionings of held-out requests are from their captions', and what is generated
    from them.
    """
    figures: dict[str, Figure] = {}
    for modality in model.spec.output_modalities:
        losses = _losses(model, f"ask {KIND[modality]}", setting)
        ratio = Ratio.of(losses.alignment[modality])
        figures[f"alignment error, {modality} (share of variance)"] = Figure.of(ratio)
    return figures | generation(model, setting)


def generation(model: Any, setting: Setting) -> dict[str, Figure]:
    """Whether generated media show or sound like what was asked for. The medium is forced: its
    conditioning decides, not whether the model would have offered it.
    """
    figures: dict[str, Figure] = {}
    for modality in model.spec.output_modalities:
        task = f"make {modality}"
        options = GenerationOptions(
            max_new_tokens=MAX_NEW_TOKENS,
            temperature=0.0,
            modalities=("text", modality),
            force=(modality,),
            max_media=1,
        )
        report = run_world(
            model,
            setting.folder / f"make-{modality}",
            num_trials=setting.trials,
            seed=setting.seed,
            overwrite=True,  # measured again only with other settings
            tasks=[task],
            options=options,
            judges=setting.judges,
        )
        share = report.tasks[task].figures[_FACTS[modality]]
        figures[f"{_FACTS[modality]} right, generated {modality}"] = Figure.of(share)
    return figures


def _losses(model: Any, kind: str, setting: Setting) -> HeldOutLosses:
    """Losses on conversations of one kind with held-out scenes, in held-out words."""
    size = _HELD_OUT * setting.trials
    source = Dialogues("test", size, setting.seed, kinds={kind: 1.0})
    cache = FeatureCache(setting.cache / "features")
    return held_out_losses(model, source, cache=cache)


ABLATIONS: dict[str, Ablation] = {
    "input-projector": Ablation(
        title="Input projector (paper, Table 5)",
        about="Each projector gives the language model as many tokens per medium. Projector and "
        "adapters start afresh; every projector has the same first lesson without the language "
        "model, then both learn captions.",
        variants=lambda base, steps, seed: recipes.input_projectors(base, steps=steps, seed=seed),
        measure=perception,
    ),
    "signal-tokens": Ablation(
        title="Number of signal tokens (paper, Figure 6)",
        about="So many tokens for every medium. Output projectors and the rows of signal tokens "
        "start afresh and learn to align with captions; the rest is the base's. Media are forced "
        "and conditioned by signal states.",
        variants=lambda base, steps, seed: recipes.signal_tokens(base, steps=steps, seed=seed),
        measure=alignment,
    ),
    "bridge": Ablation(
        title="What conditions the decoders (paper, Figures 5 and 9 to 11)",
        about="The base as it is, its decoders conditioned by the states of the signal tokens or "
        "by the words that it speaks, through the decoders' own text encoders. Media are forced.",
        variants=lambda base, steps, seed: recipes.bridges(base),
        measure=generation,
    ),
    "losses": Ablation(
        title="What the output projectors learn from (paper, section 4.2)",
        about="Output projectors and the rows of signal tokens start afresh and learn from the "
        "distance of their conditionings to the captions' embeddings, from the denoising loss of "
        "the frozen decoders, or from both; the language loss is always there. Media are forced "
        "and conditioned by signal states.",
        variants=lambda base, steps, seed: recipes.losses(base, steps=steps, seed=seed),
        measure=alignment,
    ),
}
