"""Chunked passes through a picture VAE, with its scaling.

Shape legend: B batch, c latent channels, h w latent height and width, C H W the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

# Pictures (or video frames) per VAE pass. Bounds memory; results do not depend on it.
VAE_CHUNK = 8
_SAMPLES, _PATCHES, _CELLS = 4, 4, 16  # of the latents to which preview colours are fitted

Lend = Callable[[], AbstractContextManager[Any]]


class PictureVae:
    """Pixels <-> scaled latents, through a variational autoencoder (`AutoencoderKL`) or a
    deterministic one (`AutoencoderDC`). Holds no weights: `lend` provides the VAE during a call.
    """

    def __init__(self, config: Any, lend: Lend) -> None:
        self.lend = lend
        blocks = config.get("block_out_channels") or config.encoder_block_out_channels
        self.factor = int(2 ** (len(blocks) - 1))
        """How many pixels one latent cell spans on each side."""
        self.channels = int(config.latent_channels)
        """Channels of a latent cell."""
        self._colours: Tensor | None = None

    @torch.no_grad()
    def encode(self, pixels: Float[Tensor, "B C H W"]) -> Float[Tensor, "B c h w"]:
        """Scaled latents of pictures in -1..1: the mean of the VAE's posterior, so they can be
        cached.
        """
        with self.lend() as vae:
            weight, shift, scale = _settings(vae)
            chunks = [
                encoded_latents(vae.encode(chunk.to(weight.device, weight.dtype)))
                for chunk in pixels.split(VAE_CHUNK)
            ]
            return (torch.cat(chunks) - shift) * scale

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C H W"]:
        """Pictures (about -1..1, float32) of scaled latents."""
        with self.lend() as vae:
            weight, shift, scale = _settings(vae)
            unscaled = latents / scale + shift
            chunks = [
                vae.decode(chunk.to(weight.device, weight.dtype)).sample.float()
                for chunk in unscaled.split(VAE_CHUNK)
            ]
            return torch.cat(chunks)

    @torch.no_grad()
    def preview(self, latents: Float[Tensor, "B c h w"]) -> Float[Tensor, "B 3 h w"]:
        """Small pictures (about -1..1) without running the VAE: one pixel per latent cell, its mean
        colour as a linear function of the cell. The function is fitted once, to the VAE's decoding
        of a few smooth random latents.
        """
        if self._colours is None:
            self._colours = self._fit_colours()
        cells = latents.float().movedim(1, -1)
        weight, bias = self._colours.to(latents.device).split([self.channels, 1])
        return (cells @ weight + bias).movedim(-1, 1)

    def _fit_colours(self) -> Float[Tensor, "c+1 3"]:  # noqa: F821
        generator = torch.Generator().manual_seed(0)
        shape = (_SAMPLES, self.channels, _PATCHES, _PATCHES)
        rough = torch.randn(shape, generator=generator)
        smooth = F.interpolate(rough, (_CELLS, _CELLS), mode="bilinear")
        smooth = smooth / smooth.std()
        seen = F.avg_pool2d(self.decode(smooth).clamp(-1, 1).cpu(), self.factor)
        cells = smooth.movedim(1, -1).flatten(0, 2)
        cells = torch.cat([cells, torch.ones(len(cells), 1)], 1)
        fitted: Tensor = torch.linalg.lstsq(cells, seen.movedim(1, -1).flatten(0, 2)).solution
        return fitted


def encoded_latents(encoded: Any) -> Tensor:
    """The mean of a posterior, or the latents of an encoder that has none."""
    latents: Tensor = (
        encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latent
    )
    return latents


def _settings(vae: nn.Module) -> tuple[Tensor, float, float]:
    """A weight (for its device and dtype), the latents' shift and their scale."""
    config: Any = vae.config
    shift = float(config.get("shift_factor") or 0.0)
    return next(vae.parameters()), shift, float(config.scaling_factor)
