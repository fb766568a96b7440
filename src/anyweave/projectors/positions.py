"""Learned positions for input projectors that otherwise treat patches as a set."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


def learned_positions(count: int, dim: int) -> nn.Parameter | None:
    """`count` vectors to add to the patches, in order; None for a count of 0."""
    return nn.Parameter(torch.randn(count, dim) * 0.02) if count else None


def place(
    patches: Float[Tensor, "B N D"], positions: Float[Tensor, "P D"] | None
) -> Float[Tensor, "B N D"]:
    """The patches with positions added. Raises `ValueError` for more patches than positions."""
    if positions is None:
        return patches
    if patches.shape[1] > len(positions):
        raise ValueError(
            f"{patches.shape[1]} patches but only {len(positions)} learned positions; "
            "raise the projector's `positions`"
        )
    return patches + positions[: patches.shape[1]]
