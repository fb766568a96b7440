"""Samples become a `Batch`: right padding, media and targets stacked per modality with their
places.

Legend: B batch, L longest length, M media of one modality, T targets of one modality, K targets
that have latents.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from anyweave.batch import IGNORE_INDEX, Batch, BatchMedia, BatchTargets, MediaInput, Sample, Target
from anyweave.messages import MEDIA_MODALITIES, Modality


def collate(samples: Sequence[Sample], pad_id: int) -> Batch:
    """Right-pad `samples` and stack their media and targets by modality, in row order then sequence
    order.

    Raises `ValueError` for no samples, or media of one modality that cannot be stacked.
    """
    if not samples:
        raise ValueError("cannot collate an empty list of samples")
    longest = max(sample.length for sample in samples)
    shape = (len(samples), longest)
    input_ids = torch.full(shape, pad_id, dtype=torch.long)
    labels = torch.full(shape, IGNORE_INDEX, dtype=torch.long)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    for row, sample in enumerate(samples):
        input_ids[row, : sample.length] = sample.input_ids
        labels[row, : sample.length] = sample.labels
        attention_mask[row, : sample.length] = 1
    media: dict[Modality, BatchMedia] = {}
    targets: dict[Modality, BatchTargets] = {}
    for modality in MEDIA_MODALITIES:
        inputs = [(r, m) for r, s in enumerate(samples) for m in s.media if m.modality == modality]
        outputs = [
            (r, t) for r, s in enumerate(samples) for t in s.targets if t.modality == modality
        ]
        if inputs:
            media[modality] = _stack_media(modality, inputs)
        if outputs:
            targets[modality] = _stack_targets(modality, outputs)
    return Batch(input_ids, attention_mask, labels, media, targets)


def _stack_media(modality: Modality, found: list[tuple[int, MediaInput]]) -> BatchMedia:
    features = [m.features for _, m in found if m.features is not None]
    inputs = [m.inputs for _, m in found if m.inputs is not None]
    if features and inputs:
        raise ValueError(
            f"{len(features)} of {len(found)} {modality} inputs in this batch come from the "
            "feature cache and the rest do "
            "not; fill the cache for the whole data set, or render without it"
        )
    return BatchMedia(
        rows=torch.tensor([row for row, _ in found]),
        starts=torch.tensor([m.start for _, m in found]),
        length=_one_length(modality, [m.length for _, m in found]),
        inputs=_stack(f"{modality} inputs", inputs) if inputs else None,
        features=_stack(f"{modality} features", features) if features else None,
    )


def _stack_targets(modality: Modality, found: list[tuple[int, Target]]) -> BatchTargets:
    latents = [(k, t.latents) for k, (_, t) in enumerate(found) if t.latents is not None]
    return BatchTargets(
        rows=torch.tensor([row for row, _ in found]),
        starts=torch.tensor([t.start for _, t in found]),
        length=_one_length(modality, [t.length for _, t in found]),
        captions=tuple(t.caption for _, t in found),
        latents=_stack(f"{modality} latents", [x for _, x in latents]) if latents else None,
        latent_index=torch.tensor([k for k, _ in latents]) if latents else None,
    )


def _one_length(modality: Modality, lengths: list[int]) -> int:
    assert len(set(lengths)) == 1, (
        f"{modality} runs of different lengths {sorted(set(lengths))} in one batch"
    )
    return lengths[0]


def _stack(what: str, tensors: Sequence[Tensor]) -> Tensor:
    shapes = sorted({tuple(tensor.shape) for tensor in tensors})
    if len(shapes) > 1:
        raise ValueError(
            f"{what} of one batch have different shapes {shapes}; an encoder's preprocess and a "
            "decoder's latents must "
            "have one shape per modality"
        )
    return torch.stack(list(tensors))


def bucketed_batches(
    lengths: Sequence[int],
    batch_size: int,
    seed: int,
    epoch: int,
    *,
    window: int = 50,
    drop_last: bool = False,
) -> list[list[int]]:
    """Batches of indices of similar length, shuffled; the same (seed, epoch) gives the same
    batches.

    Indices are shuffled, sorted by length within windows of `window` batches, cut into batches, and
    the batches shuffled. Every index appears exactly once. With `drop_last` no batch is short: the
    surplus is dropped before sorting, so that chance, not length, decides which samples wait for
    the next epoch.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it is at least 1")
    rng = random.Random(f"{seed}-{epoch}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    if drop_last:
        order = order[: len(order) // batch_size * batch_size]
    span = batch_size * window
    batches: list[list[int]] = []
    for start in range(0, len(order), span):
        chunk = sorted(order[start : start + span], key=lambda index: lengths[index])
        batches += [chunk[k : k + batch_size] for k in range(0, len(chunk), batch_size)]
    rng.shuffle(batches)
    return batches
