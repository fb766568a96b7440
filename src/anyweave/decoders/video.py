"""Clips <-> latents: every frame goes through the picture VAE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .image import fit_pixels, to_uint8
from .sizes import MediaSize, check_multiple
from .vae import PictureVae


class VideoCodec:
    """uint8 clips [T, H, W, 3] <-> latents [B, c, F, h, w]. Holds no weights of its own.

    Encoding takes `num_frames` frames evenly spaced over the clip (repeating frames of a shorter
    one).
    """

    def __init__(self, vae: PictureVae, default: MediaSize, *, fps: float) -> None:
        self.vae = vae
        self.default = default
        self.rate: float | None = fps

    def resolve(self, size: MediaSize) -> MediaSize:
        full = size.filled(self.default, modality="video")
        assert full.height is not None and full.width is not None and full.num_frames is not None
        check_multiple("height", full.height, self.vae.factor)
        check_multiple("width", full.width, self.vae.factor)
        if full.num_frames < 1:
            raise ValueError(f"num_frames must be at least 1, got {full.num_frames}")
        return full

    def latent_shape(self, size: MediaSize) -> tuple[int, ...]:
        full = self.resolve(size)
        assert full.height is not None and full.width is not None and full.num_frames is not None
        channels = self.vae.channels
        return (
            channels,
            full.num_frames,
            full.height // self.vae.factor,
            full.width // self.vae.factor,
        )

    def encode(self, media: Sequence[np.ndarray], size: MediaSize) -> Tensor:
        full = self.resolve(size)
        assert full.height is not None and full.width is not None and full.num_frames is not None
        frames = []
        for clip in media:
            if len(clip) == 0:
                raise ValueError("a clip without frames cannot be encoded")
            index = np.linspace(0, len(clip) - 1, full.num_frames).round().astype(int)
            frames.append(fit_pixels(np.asarray(clip)[index], full.height, full.width))
        latents = self.vae.encode(torch.cat(frames))
        return latents.unflatten(0, (len(media), full.num_frames)).transpose(1, 2).contiguous()

    def decode(self, latents: Tensor, size: MediaSize | None = None) -> list[np.ndarray]:
        batch, _, num_frames = latents.shape[:3]
        pixels = self.vae.decode(latents.transpose(1, 2).flatten(0, 1))
        frames = to_uint8(pixels)
        return list(frames.reshape(batch, num_frames, *frames.shape[1:]))
