"""Clips <-> latents: every frame goes through the picture VAE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anyweave.decoders.codecs.image import fit_pixels, to_uint8
from anyweave.decoders.codecs.sizes import MediaSize, Rates, check_multiple
from anyweave.decoders.codecs.vae import PictureVae


class VideoCodec:
    """uint8 clips [T, H, W, 3] <-> latents [B, c, F, h, w]. Holds no weights of its own.

    Encoding takes `num_frames` frames. If the clip's rate is known, they are picked by time, so
    motion keeps its speed (a longer clip loses its end, a shorter one holds its last frame).
    Otherwise they are evenly spaced over the clip.
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

    def encode(
        self, media: Sequence[np.ndarray], size: MediaSize, rates: Rates | None = None
    ) -> Tensor:
        full = self.resolve(size)
        assert full.height is not None and full.width is not None and full.num_frames is not None
        frames = []
        for clip, rate in zip(media, rates or [None] * len(media), strict=True):
            assert self.rate is not None
            index = shown_frames(len(clip), rate, full.num_frames, self.rate)
            frames.append(fit_pixels(np.asarray(clip)[index], full.height, full.width))
        latents = self.vae.encode(torch.cat(frames))
        return latents.unflatten(0, (len(media), full.num_frames)).transpose(1, 2).contiguous()

    def decode(self, latents: Tensor, size: MediaSize | None = None) -> list[np.ndarray]:
        batch, _, num_frames = latents.shape[:3]
        pixels = self.vae.decode(latents.transpose(1, 2).flatten(0, 1))
        frames = to_uint8(pixels)
        return list(frames.reshape(batch, num_frames, *frames.shape[1:]))

    def preview(self, latents: Tensor) -> list[np.ndarray] | None:
        """A preview of the middle frame."""
        return list(to_uint8(self.vae.preview(latents[:, :, latents.shape[2] // 2])))


def shown_frames(
    length: int, rate: float | None, num_frames: int, fps: float
) -> npt.NDArray[np.int_]:
    """Indices of the frames of a clip of `length` that become `num_frames` frames at `fps`: picked
    by time if the clip's own `rate` is known, else evenly spaced.
    """
    if length == 0:
        raise ValueError("a clip without frames cannot be encoded")
    if rate is None:
        return np.linspace(0, length - 1, num_frames).round().astype(int)
    if rate <= 0:
        raise ValueError(f"a clip's rate is frames per second and positive, got {rate}")
    # A tenth of a frame absorbs rounding, and rates that a file states slightly too low.
    times = np.arange(num_frames) * (rate / fps) + 0.1
    return np.minimum(np.floor(times).astype(int), length - 1)
