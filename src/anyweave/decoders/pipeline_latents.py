"""Media -> a pipeline's clean latents, in the form it denoises."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from anyweave.decoders.codecs.image import fit_pixels
from anyweave.decoders.codecs.sizes import MediaSize, Rates
from anyweave.decoders.codecs.vae import Lend, encoded_latents
from anyweave.decoders.codecs.video import shown_frames


def encode_frames(
    lend: Lend, media: Sequence[np.ndarray], size: MediaSize, fps: float | None, rates: Rates | None
) -> Tensor:
    """Scaled latents of pictures [B, c, h, w], or of clips through a video VAE [B, c, f, h, w]: the
    mean of the posterior.
    """
    assert size.height is not None and size.width is not None
    pixels = []
    for medium, rate in zip(media, rates or [None] * len(media), strict=True):
        frames = np.asarray(medium)
        if size.num_frames is not None:
            assert fps is not None
            frames = frames[shown_frames(len(frames), rate, size.num_frames, fps)]
        else:
            frames = frames[None]
        pixels.append(fit_pixels(frames, size.height, size.width))
    with lend() as vae:
        weight = next(p for p in vae.encoder.parameters() if p.ndim >= 4)
        made = []
        for medium_pixels in pixels:  # one at a time: a single clip can fill the memory
            shown = medium_pixels.to(weight.device, weight.dtype)
            shown = shown.transpose(0, 1)[None] if weight.ndim == 5 else shown
            made.append(_scaled(vae, encoded_latents(vae.encode(shown))))
    return torch.cat(made)


def _scaled(vae: Any, latents: Tensor) -> Tensor:
    """Shifted and scaled by the VAE's own constants, global or per channel."""
    config, buffers = vae.config, dict(vae.named_buffers())
    mean, std = (
        config.get(name) if config.get(name) is not None else buffers.get(name)
        for name in ("latents_mean", "latents_std")
    )
    if mean is not None and std is not None:
        shape = (1, -1, *[1] * (latents.ndim - 2))
        latents = latents - torch.as_tensor(mean).to(latents).view(shape)
        latents = latents / torch.as_tensor(std).to(latents).view(shape)
    shift = config.get("shift_factor") or 0.0
    return (latents - shift) * (config.get("scaling_factor") or 1.0)


def packed(family: Any, denoiser: Any, latents: Tensor) -> Tensor:
    """Latents packed by the pipeline's own packing, if it has one."""
    pack = getattr(family, "_pack_latents", None)
    if pack is None:
        return latents
    known = {
        "latents": latents,
        "batch_size": latents.shape[0],
        "num_channels_latents": latents.shape[1],
        "height": latents.shape[-2],
        "width": latents.shape[-1],
        "patch_size": denoiser.get("patch_size"),
        "patch_size_t": denoiser.get("patch_size_t"),
    }
    made: Tensor = pack(**{name: known[name] for name in inspect.signature(pack).parameters})
    return made


def encode_waves(lend: Lend, waves: Sequence[np.ndarray], samples: int) -> Tensor:
    """Latents [B, c, t] of waves through an audio VAE, cut or padded with silence to `samples`.
    Mono goes into every channel.
    """
    with lend() as vae:
        weight = next(vae.parameters())
        rows = [
            F.pad(torch.from_numpy(np.asarray(wave, dtype=np.float32)), (0, samples - len(wave)))
            for wave in waves
        ]
        channels = int(vae.config.audio_channels)
        stacked = torch.stack(rows)[:, None].expand(-1, channels, -1)
        return torch.cat(
            [
                encoded_latents(vae.encode(row.to(weight.device, weight.dtype)))
                for row in stacked.split(1)
            ]
        )
