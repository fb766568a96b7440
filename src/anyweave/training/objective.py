"""The losses of a stage on one forward: language, caption alignment and latent denoising (paper
sections 4.1, 4.2), and the contrast and recall of captions.

Every term is a *sum* with its count, and the trainer divides by the counts of the whole step. A
step split over micro-batches and processes therefore equals the same step in one piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anyweave.batch import IGNORE_INDEX, Batch, BatchTargets, ModelOutput
from anyweave.losses import alignment_loss, language_loss
from anyweave.messages import Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.training.config import ObjectiveConfig
from anyweave.training.contrast import CaptionContrast
from anyweave.training.plan import step_seed
from anyweave.training.recall import recall_losses, recall_places, recalled_ids
from anyweave.training.stages import Stage, by_caption

NO_CONTRASTS: Mapping[Modality, CaptionContrast] = {}


@dataclass(frozen=True)
class Term:
    """One loss on one micro-batch: `sum` over its `count` tokens or targets, scaled by `weight`."""

    weight: float
    sum: Tensor
    count: int


def pays_denoising(step: int, stage: Stage, config: ObjectiveConfig) -> bool:
    """Whether this step computes the denoising loss: the given share of steps, evenly spread."""
    if stage.losses.get("denoising", 0) <= 0:
        return False
    fraction = config.denoising_fraction
    return int((step + 1) * fraction + 1e-9) > int(step * fraction + 1e-9)


def term_counts(
    batch: Batch,
    stage: Stage,
    *,
    denoising: bool,
    captioned: bool = False,
    contrasts: Mapping[Modality, CaptionContrast] = NO_CONTRASTS,
) -> dict[str, int]:
    """The count of each term of this batch, known before the forward. `captioned`: media without a
    caption cannot be denoised (see `stages.by_caption`).
    """
    counts: dict[str, int] = {}
    if stage.losses.get("lm", 0) > 0:
        counts["lm"] = int((batch.labels[:, 1:] != IGNORE_INDEX).sum())
    for modality, targets in batch.targets.items():
        if stage.losses.get("alignment", 0) > 0 and targets.caption_embeddings is not None:
            counts[f"alignment/{modality}"] = len(_captioned(targets))
        if modality in contrasts and targets.caption_embeddings is not None:
            counts[f"contrast/{modality}"] = len(_captioned(targets))
        if stage.losses.get("recall", 0) > 0:
            counts[f"recall/{modality}"] = len(_captioned(targets)) * recall_places(targets.length)
        if denoising:
            counts[f"denoising/{modality}"] = len(denoised(targets, captioned))
    return {name: count for name, count in counts.items() if count}


def compute_terms(
    model: NextGPT,
    output: ModelOutput,
    batch: Batch,
    stage: Stage,
    config: ObjectiveConfig,
    *,
    denoising: bool,
    row_seeds: Sequence[int],
    contrasts: Mapping[Modality, CaptionContrast] = NO_CONTRASTS,
) -> dict[str, Term]:
    """The terms named by `term_counts`: "lm", "alignment/image", "denoising/audio", ...

    Args: row_seeds: one seed per conversation of the batch; its noise depends on nothing else, so
    neither batching nor the number of processes changes it. contrasts: those of the run, if the
    stage has that loss.
    """
    captioned = by_caption(model, stage)
    counts = term_counts(
        batch, stage, denoising=denoising, captioned=captioned, contrasts=contrasts
    )
    terms: dict[str, Term] = {}
    if "lm" in counts:
        loss = language_loss(output.logits, output.labels)
        terms["lm"] = Term(stage.losses["lm"], loss * counts["lm"], counts["lm"])
    for modality, targets in batch.targets.items():
        terms |= _caption_terms(output, modality, targets, counts, stage, config, contrasts)
        if count := counts.get(f"recall/{modality}", 0):
            loss = _recall(model, output.signal_states[modality], targets)
            terms[f"recall/{modality}"] = Term(stage.losses["recall"], loss, count)
        conditioning = output.conditioning.get(modality)
        count = counts.get(f"denoising/{modality}", 0)
        steering = targets.caption_embeddings if captioned else conditioning
        if count and steering is not None:
            made = denoised(targets, captioned)
            losses_K = denoise(model, modality, steering, targets, made, config, row_seeds)
            weight = stage.losses["denoising"] * config.denoising_weights.get(modality, 1.0)
            terms[f"denoising/{modality}"] = Term(weight, losses_K.sum(), count)
    return terms


def _caption_terms(
    output: ModelOutput,
    modality: Modality,
    targets: BatchTargets,
    counts: Mapping[str, int],
    stage: Stage,
    config: ObjectiveConfig,
    contrasts: Mapping[Modality, CaptionContrast],
) -> dict[str, Term]:
    """The losses of one modality that aim at its captions' embeddings."""
    conditioning = output.conditioning.get(modality)
    names = [f"{loss}/{modality}" for loss in ("alignment", "contrast")]
    aligned, told = (counts.get(name, 0) for name in names)
    if conditioning is None or targets.caption_embeddings is None or not (aligned or told):
        return {}
    said = _captioned(targets)
    rows = torch.tensor(said, device=conditioning.device)
    wanted = targets.caption_embeddings.to(conditioning.device)[rows]
    terms: dict[str, Term] = {}
    if aligned:
        loss = alignment_loss(conditioning[rows], wanted, mode=config.alignment_mode)
        weight = stage.losses["alignment"] * config.alignment_weights.get(modality, 1.0)
        terms[names[0]] = Term(weight, loss * aligned, aligned)
    if told:
        losses_T = contrasts[modality].losses(
            output.signal_states[modality][rows],
            wanted,
            [targets.captions[row] for row in said],
            config.contrast_temperature,
        )
        terms[names[1]] = Term(stage.losses["contrast"], losses_T.sum(), told)
    return terms


def _recall(model: NextGPT, states_TSD: Tensor, targets: BatchTargets) -> Tensor:
    """The sum of the recall losses of all captioned targets."""
    said = _captioned(targets)
    captions = [str(targets.captions[row]) for row in said]
    ids = recalled_ids(model.processor, captions, recall_places(targets.length))
    base_vocab = model.processor.signals.base_vocab
    return recall_losses(model.language, states_TSD[said], ids.to(model.device), base_vocab).sum()


def denoise(
    model: NextGPT,
    modality: Modality,
    conditioning_TQC: Tensor,
    targets: BatchTargets,
    rows: Sequence[int],
    config: ObjectiveConfig,
    row_seeds: Sequence[int],
) -> Tensor:
    """The denoising error of each target in `rows`, all of which must have latents."""
    assert targets.latents is not None and targets.latent_index is not None
    decoder = model.decoders[modality]
    num_timesteps = decoder.num_timesteps
    places = [targets.latent_index.tolist().index(row) for row in rows]
    wanted = targets.latents[places]
    timesteps, noise = [], []
    for latents, target in zip(wanted, rows, strict=True):
        start, row = int(targets.starts[target]), int(targets.rows[target])
        generator = torch.Generator().manual_seed(step_seed(row_seeds[row], start))
        timesteps.append(torch.randint(0, num_timesteps, (1,), generator=generator))
        noise.append(torch.randn(latents.shape, generator=generator))
    losses_K: Tensor = decoder.denoising_loss(
        conditioning_TQC[rows],
        wanted,
        timesteps=torch.cat(timesteps),
        noise=torch.stack(noise),
        snr_gamma=config.snr_gamma,
    )
    return losses_K


def denoised(targets: BatchTargets, captioned: bool) -> list[int]:
    """Targets with latents, and with a caption if captions condition the decoder."""
    made = [] if targets.latent_index is None else targets.latent_index.tolist()
    return [row for row in made if not captioned or targets.captions[row] is not None]


def _captioned(targets: BatchTargets) -> list[int]:
    return [index for index, caption in enumerate(targets.captions) if caption is not None]
