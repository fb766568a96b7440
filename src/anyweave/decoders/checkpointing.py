"""Gradient checkpointing of a frozen UNet, whether diffusers offers it for the class or not."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint


def enable_gradient_checkpointing(unet: Any) -> None:
    """Keep the inputs of blocks alone for the backward pass and make the rest again. Calling it
    twice changes nothing.
    """
    if unet._supports_gradient_checkpointing:
        unet.enable_gradient_checkpointing()
        return
    # diffusers has none for UNets of clips, which need it most.
    for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
        if not is_wrapped(block):
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def is_wrapped(block: Any) -> bool:
    """Whether a block of a UNet is checkpointed by us."""
    return "forward" in vars(block)
