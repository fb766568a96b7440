"""Chunked passes through a picture VAE, with its scaling.

Shape legend: B batch, c latent channels, h w latent height and width, C H W the picture.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Pictures (or video frames) that pass the VAE together. Bounds memory; results do not depend on it.
VAE_CHUNK = 8


def vae_factor(vae: Any) -> int:
    """How many pixels one latent cell spans on each side."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def latent_channels(vae: Any) -> int:
    """Channels of a latent cell."""
    return int(vae.config.latent_channels)


@torch.no_grad()
def encode_pixels(vae: nn.Module, pixels: Float[Tensor, "B C H W"]) -> Float[Tensor, "B c h w"]:
    """Scaled latents of pictures in -1..1: the mean of the VAE's posterior, so that a cache can
    hold it.
    """
    config: Any = vae.config
    weight = next(vae.parameters())
    chunks = [
        vae.encode(chunk.to(weight.device, weight.dtype)).latent_dist.mode()  # type: ignore[operator]
        for chunk in pixels.split(VAE_CHUNK)
    ]
    return (torch.cat(chunks) - (config.get("shift_factor") or 0.0)) * config.scaling_factor


@torch.no_grad()
def decode_pixels(vae: nn.Module, latents: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C H W"]:
    """Pictures (about -1..1, float32) of scaled latents."""
    config: Any = vae.config
    weight = next(vae.parameters())
    unscaled = latents / config.scaling_factor + (config.get("shift_factor") or 0.0)
    chunks = [
        vae.decode(chunk.to(weight.device, weight.dtype)).sample.float()  # type: ignore[operator]
        for chunk in unscaled.split(VAE_CHUNK)
    ]
    return torch.cat(chunks)
