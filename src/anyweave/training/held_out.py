"""The losses of a stage on held-out conversations, sample by sample."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from anyweave.batch import IGNORE_INDEX, Batch, ModelOutput
from anyweave.messages import Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.processing.cache import FeatureCache
from anyweave.training.config import TrainConfig
from anyweave.training.features import FrozenFeatures, Rendered
from anyweave.training.objective import denoise, denoised
from anyweave.training.plan import Source, step_seed
from anyweave.training.stages import by_caption

logger = logging.getLogger(__name__)

Pairs = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class HeldOutLosses:
    """Numerators with denominators, so that a mean can be reported with its interval.

    `language`: per conversation, the summed cross-entropy (nats) of the assistant's text and its
    number of tokens. `alignment`: per caption of a modality, the squared distance from the
    projected conditioning to the caption's embedding, and from that embedding to the mean embedding
    of all these captions. The ratio of the sums is the share of unexplained variance (0 is perfect,
    1 carries no information about the caption).
    """

    language: Pairs
    alignment: Mapping[Modality, Pairs]


@torch.inference_mode()
def held_out_losses(
    model: NextGPT,
    source: Source,
    *,
    cache: FeatureCache | None = None,
    batch_size: int = 8,
    max_length: int | None = 256,
    progress: bool = True,
) -> HeldOutLosses:
    """Losses on all conversations of `source`. Leaves the model in eval mode. `max_length` None
    sets no bound.

    Raises `ValueError` for a conversation that cannot be used: results must not depend on what was
    left out.
    """
    frozen = FrozenFeatures(model, cache)
    renderer = frozen.renderer(source, max_length)
    model.eval()
    language: list[tuple[float, float]] = []
    aligned: dict[Modality, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    starts = range(0, len(source), batch_size)
    for first in track(starts, "held-out losses", transient=True, disable=not progress):
        places = range(first, min(first + batch_size, len(source)))
        rendered = [renderer(index, load_targets=False) for index in places]
        _check_whole(rendered)
        samples = frozen.complete(rendered, latents=False)
        batch = frozen.batch(samples, captions=True).to(model.device)
        output = model(batch)
        language += _language(batch, output)
        for modality, targets in batch.targets.items():
            if targets.caption_embeddings is not None and modality in output.conditioning:
                said = [row for row, text in enumerate(targets.captions) if text is not None]
                pair = output.conditioning[modality], targets.caption_embeddings
                aligned[modality].append((pair[0][said].float(), pair[1][said].float()))
    return HeldOutLosses(
        tuple(language),
        {
            modality: _alignment(*(torch.cat(side) for side in zip(*pairs, strict=True)))
            for modality, pairs in aligned.items()
        },
    )


@torch.inference_mode()
def denoising_errors(
    model: NextGPT,
    source: Source,
    config: TrainConfig,
    *,
    cache: FeatureCache | None = None,
    batch_size: int = 16,
    draws: int = 4,
) -> dict[Modality, Pairs]:
    """Denoising errors of each of the assistant's media under `draws` fixed noises, each with
    denominator 1; the decoder is conditioned as in the stage. Leaves the model in eval mode.

    Raises `ValueError` as `held_out_losses`.
    """
    frozen = FrozenFeatures(model, cache)
    renderer = frozen.renderer(source, None)
    model.eval()
    captioned = by_caption(model, config.stage)
    errors: dict[Modality, list[tuple[float, float]]] = defaultdict(list)
    for first in range(0, len(source), batch_size):
        places = range(first, min(first + batch_size, len(source)))
        rendered = [renderer(index, load_targets=True) for index in places]
        _check_whole(rendered)
        samples = frozen.complete(rendered, latents=True)
        batch = frozen.batch(samples, captions=captioned).to(model.device)
        said = None if captioned else model(batch).conditioning
        for modality, targets in batch.targets.items():
            rows = denoised(targets, captioned)
            steering = targets.caption_embeddings if said is None else said.get(modality)
            if not rows or steering is None:
                continue
            for draw in range(draws):
                seeds = [step_seed(config.seed, draw, place) for place in places]
                losses = denoise(model, modality, steering, targets, rows, config.objective, seeds)
                errors[modality] += [(value, 1.0) for value in losses.tolist()]
    return {modality: tuple(pairs) for modality, pairs in errors.items()}


def _check_whole(rendered: Iterable[Rendered]) -> None:
    for item in rendered:
        if item.problem is not None:
            raise ValueError(f"a held-out conversation cannot be used: {item.problem}")
        if item.lost:
            logger.warning("of held-out item %d was not read: %s", item.index, "; ".join(item.lost))
        if item.sample is not None and item.sample.cut:
            raise ValueError(
                f"held-out item {item.index} has {item.sample.cut.tokens} tokens more than the "
                "model takes; give max_length more, a figure must not depend on what was cut"
            )


def _language(batch: Batch, output: ModelOutput) -> list[tuple[float, float]]:
    counts = (batch.labels[:, 1:] != IGNORE_INDEX).sum(1).tolist()
    nats_P = functional.cross_entropy(output.logits.float(), output.labels, reduction="none")
    return [(float(row.sum()), float(len(row))) for row in nats_P.split(counts)]


def _alignment(predicted: Float[Tensor, "T Q C"], target: Float[Tensor, "T Q C"]) -> Pairs:
    # Rows after a caption's end are NaN, see `losses.aimed_at`. In float32 the mean of equal
    # captions is not quite any of them, and rounding would count as their variance.
    predicted, target = predicted.cpu().double(), target.cpu().double()
    errors = (predicted - target).square().nansum((1, 2))
    spreads = (target - target.nanmean(0)).square().nansum((1, 2))
    return tuple(zip(errors.tolist(), spreads.tolist(), strict=True))
