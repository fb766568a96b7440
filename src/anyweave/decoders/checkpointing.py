"""Gradient checkpointing of a frozen UNet, whether or not diffusers offers it for the class."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint


def enable_gradient_checkpointing(unet: Any) -> None:
    """Keep only the blocks' inputs for the backward pass and recompute the rest. Idempotent."""
    if unet._supports_gradient_checkpointing:
        unet.enable_gradient_checkpointing()
        return
    # diffusers lacks it for video UNets, which need it most.
    for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
        if not is_wrapped(block):
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def is_wrapped(block: Any) -> bool:
    """Whether we checkpoint this UNet block."""
    return "forward" in vars(block)
