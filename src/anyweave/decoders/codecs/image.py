"""Pictures <-> latents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from anyweave.decoders.codecs.sizes import MediaSize, Rates, check_multiple
from anyweave.decoders.codecs.vae import PictureVae


def fit_pixels(
    frames: UInt8[np.ndarray, "N H W 3"], height: int, width: int
) -> Float[Tensor, "N 3 h w"]:
    """Pictures in -1..1 of exactly ``height`` x ``width``: scaled to cover it, then centre-cropped.

    Frames already of this size keep their exact values. Raises `ValueError` for another layout or
    dtype.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(
            f"expected uint8 pictures [..., H, W, 3], got {frames.dtype} {list(frames.shape)}"
        )
    pixels = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float()
    if pixels.shape[-2:] != (height, width):
        scale = max(height / pixels.shape[-2], width / pixels.shape[-1])
        covering = [
            max(height, round(pixels.shape[-2] * scale)),
            max(width, round(pixels.shape[-1] * scale)),
        ]
        pixels = F.interpolate(pixels, covering, mode="bicubic", antialias=True).clamp(0, 255)
        top, left = (covering[0] - height) // 2, (covering[1] - width) // 2
        pixels = pixels[..., top : top + height, left : left + width]
    return pixels / 127.5 - 1.0


def to_uint8(pixels: Float[Tensor, "N 3 H W"]) -> UInt8[np.ndarray, "N H W 3"]:
    """Pictures in -1..1 as bytes, rounded."""
    levels = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


class ImageCodec:
    """uint8 pictures [H, W, 3] <-> latents [B, c, h, w]. Holds no weights of its own."""

    rate: float | None = None

    def __init__(self, vae: PictureVae, default: MediaSize) -> None:
        self.vae = vae
        self.default = default

    def resolve(self, size: MediaSize) -> MediaSize:
        full = size.filled(self.default, modality="image")
        assert full.height is not None and full.width is not None
        check_multiple("height", full.height, self.vae.factor)
        check_multiple("width", full.width, self.vae.factor)
        return full

    def latent_shape(self, size: MediaSize) -> tuple[int, ...]:
        full = self.resolve(size)
        assert full.height is not None and full.width is not None
        channels = self.vae.channels
        return channels, full.height // self.vae.factor, full.width // self.vae.factor

    def encode(
        self, media: Sequence[np.ndarray], size: MediaSize, rates: Rates | None = None
    ) -> Tensor:
        full = self.resolve(size)
        assert full.height is not None and full.width is not None
        pixels = [fit_pixels(np.asarray(image)[None], full.height, full.width) for image in media]
        return self.vae.encode(torch.cat(pixels))

    def decode(self, latents: Tensor, size: MediaSize | None = None) -> list[np.ndarray]:
        return list(to_uint8(self.vae.decode(latents)))

    def preview(self, latents: Tensor) -> list[np.ndarray] | None:
        return list(to_uint8(self.vae.preview(latents)))
