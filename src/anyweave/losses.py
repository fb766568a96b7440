"""Two of the three training objectives as pure functions (paper sections 4.1 and 4.2): language and
alignment.

The third, denoising, lives with the decoders, which know their schedulers.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def language_loss(logits: Float[Tensor, "P V"], labels: Int[Tensor, " P"]) -> Float[Tensor, ""]:
    """Mean cross-entropy over P supervised positions, in float32; 0 (with a gradient path) when P
    is 0.

    The caller has already selected and shifted: ``logits[i]`` predicts ``labels[i]`` and nothing is
    ignored.
    """
    if logits.shape[0] != labels.shape[0]:
        raise ValueError(f"{logits.shape[0]} rows of logits for {labels.shape[0]} labels")
    if labels.numel() == 0:
        return logits.float().sum()
    return functional.cross_entropy(logits.float(), labels)


def aimed_at(caption: Float[Tensor, "N C"], rows: int) -> Float[Tensor, "{rows} C"]:
    """The targets of `rows` predicted rows: the caption's first ones, and NaN if it is shorter."""
    return functional.pad(caption, (0, 0, 0, rows - len(caption)), value=float("nan"))


def alignment_loss(
    predicted: Float[Tensor, "T Q C"],
    target: Float[Tensor, "T Q C"],
    mode: Literal["euclidean", "mse"] = "euclidean",
) -> Float[Tensor, ""]:
    """Caption alignment: how far a projected conditioning is from the decoder's own caption
    embedding.

    "euclidean" is the paper's l2 distance: sqrt(sum_C (p - t)^2), unsquared. Its gradient where
    p = t is 0 instead of undefined. "mse" is the mean over C. Both are means over the tokens of
    each target, then over targets, however many of its tokens count: rows of `target` that are NaN
    are ignored (see `aimed_at`). 0 when T is 0.
    """
    if predicted.shape != target.shape:
        raise ValueError(
            f"prediction {list(predicted.shape)} and target {list(target.shape)} differ in shape; "
            "is the projector built for this decoder's conditioning?"
        )
    if mode not in ("euclidean", "mse"):
        raise ValueError(f"alignment mode is euclidean or mse, got {mode!r}")
    unaimed_TQ = target.isnan().any(-1)
    difference = (predicted.float() - target.float()).masked_fill(unaimed_TQ[..., None], 0.0)
    if difference.numel() == 0:
        return difference.sum()
    if mode == "mse":
        errors_TQ = difference.square().mean(-1)
    else:
        sums = difference.square().sum(-1)
        # The square root has no gradient at 0; the inner where keeps NaN out of the backward pass.
        same = sums == 0
        errors_TQ = torch.where(same, 0.0, torch.where(same, 1.0, sums).sqrt())
    aimed_T = (~unaimed_TQ).sum(-1).clamp(min=1)
    return (errors_TQ.sum(-1) / aimed_T).mean()
