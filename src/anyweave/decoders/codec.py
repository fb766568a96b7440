"""What every codec (latents <-> media) shares: sizes, the protocol, and chunked passes through the VAE.

Shape legend: B batch, c latent channels, h w latent height and width, H W pixels, C channels of the VAE's picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

# Pictures (or video frames) that pass the VAE together. Bounds memory; results do not depend on it.
VAE_CHUNK = 8


@dataclass(frozen=True, kw_only=True)
class MediaSize:
    """How large a generated medium is. None means: the decoder's own default.

    `height` and `width` in pixels, `num_frames` of a clip, `audio_length` in seconds.
    """

    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    audio_length: float | None = None

    def filled(self, default: MediaSize, *, modality: str) -> MediaSize:
        """Every unset field taken from `default`. Raises `ValueError` for a field that `modality` does not have."""
        for field in fields(self):
            if getattr(self, field.name) is not None and getattr(default, field.name) is None:
                has = [f.name for f in fields(default) if getattr(default, f.name) is not None]
                raise ValueError(f"{modality} has no {field.name}; its size is given by {', '.join(has)}")
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(default, **{name: value for name, value in given.items() if value is not None})


class Codec(Protocol):
    """One modality's way between media (numpy) and scaled VAE latents.

    `rate` is Hz for audio, frames/s for video, None for images. `encode` first fits media to `size`.
    """

    rate: float | None

    def resolve(self, size: MediaSize) -> MediaSize:
        """`size` with the defaults filled in. Raises `ValueError` where the VAE cannot make it."""
        ...

    def latent_shape(self, size: MediaSize) -> tuple[int, ...]:
        """The shape of one medium's latents, without the batch axis."""
        ...

    def encode(self, media: Sequence[np.ndarray], size: MediaSize) -> Tensor:
        """Latents of `media`, without gradients and without sampling noise."""
        ...

    def decode(self, latents: Tensor, size: MediaSize | None = None) -> list[np.ndarray]:
        """The media of `latents`, one array per batch item, cut to `size` where it is given."""
        ...


def vae_factor(vae: Any) -> int:
    """How many pixels one latent cell spans on each side."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def sample_size(unet: Any) -> tuple[int, int]:
    """The latent height and width that the UNet was configured for; a single number means a square."""
    size = unet.config.sample_size
    if size is None:
        raise ValueError("the UNet's config has no sample_size; give height and width (or audio_length)")
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))


def check_multiple(name: str, value: int, factor: int) -> None:
    """Raise `ValueError` unless `value` is a positive multiple of the VAE's `factor`."""
    if value <= 0 or value % factor:
        near = sorted({max(factor, value // factor * factor), (max(value, 0) // factor + 1) * factor})
        raise ValueError(
            f"{name} must be a positive multiple of {factor} (the VAE's downsampling), got {value}; "
            f"try {' or '.join(map(str, near))}"
        )


@torch.no_grad()
def encode_pixels(vae: nn.Module, pixels: Float[Tensor, "B C H W"]) -> Float[Tensor, "B c h w"]:
    """Scaled latents of pictures in -1..1: the mean of the VAE's posterior, so that a cache can hold it."""
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
