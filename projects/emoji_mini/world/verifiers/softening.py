"""How decoders and codecs soften media, done to renders: blur, shrinking, tint, noise."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from emoji_mini.world.catalogue import AUDIO_SAMPLES
from emoji_mini.world.verifiers.networks import HOP, N_FFT, AudioVerifier


def soften(pixels: Tensor) -> Tensor:
    """Augment ``[B, 3, 64, 64]`` in -1..1: each of four groups gets its own blur, shrinking, tint
    and noise.
    """
    groups = []
    for group in pixels.chunk(4):
        if torch.rand(()) < 0.5:
            group = blur(group, 0.4 + 1.1 * torch.rand(()).item())
        if torch.rand(()) < 0.4:
            small = int(torch.randint(26, 60, ()))
            group = functional.interpolate(group, (small, small), mode="bilinear", antialias=True)
            group = functional.interpolate(group, (64, 64), mode="bicubic")
        shape = (len(group), 3, 1, 1)
        group = group * (1 + 0.12 * torch.randn(shape)) + 0.08 * torch.randn(shape)
        group = group + torch.randn_like(group) * 0.1 * torch.rand(len(group), 1, 1, 1) ** 2
        dy, dx = (int(n) for n in torch.randint(-3, 4, (2,)))
        group = functional.pad(group, (3, 3, 3, 3), mode="replicate")
        groups.append(group[:, :, 3 + dy : 67 + dy, 3 + dx : 67 + dx])
    return torch.cat(groups).clamp(-1.1, 1.1)


def blur(pixels: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of ``[B, 3, H, W]``, `sigma` in pixels."""
    taps = torch.exp(-(torch.arange(-3.0, 4.0) ** 2) / (2 * sigma**2))
    taps = (taps / taps.sum()).expand(3, 1, 7)
    padded = functional.pad(pixels, (3, 3, 3, 3), mode="replicate")
    rows = functional.conv2d(padded, taps[:, :, None, :], groups=3)
    return functional.conv2d(rows, taps[:, :, :, None], groups=3)


def compress(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A JPEG of random quality, read back."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.integers(35, 90)))
    return np.asarray(Image.open(buffer).convert("RGB"))


def normalise(pixels: Tensor) -> Tensor:
    """``uint8[..., H, W, 3]`` as the networks take it: ``[..., 3, H, W]`` in -1..1."""
    return pixels.movedim(-1, -3).float() / 127.5 - 1


def grey_frames(pixels: Tensor) -> Tensor:
    """Clips ``uint8[B, 8, 64, 64, 3]`` for the motion head: ``[B, 8, 32, 32]`` in -1..1."""
    return functional.avg_pool2d(pixels.float().mean(-1) / 127.5 - 1, 2)


def soften_grey(grey: Tensor) -> Tensor:
    """Blur, contrast, light and noise for the motion head."""
    if torch.rand(()) < 0.5:
        grey = functional.avg_pool2d(grey, 3, stride=1, padding=1, count_include_pad=False)
    shape = (len(grey), 1, 1, 1)
    grey = grey * (1 + 0.15 * torch.randn(shape)) + 0.1 * torch.randn(shape)
    return grey + torch.randn_like(grey) * 0.15 * torch.rand(shape)


def soften_clips(pixels: Tensor) -> Tensor:
    """Soften all frames of each clip alike: every frame is softened from the same random state."""
    out = []
    for clip in pixels:
        state = torch.random.get_rng_state()
        frames = []
        for frame in clip:
            torch.random.set_rng_state(state)
            frames.append(soften(frame[None]))
        out.append(torch.cat(frames))
    return torch.stack(out)


def scramble(network: AudioVerifier, waves: Tensor) -> Tensor:
    """Keep magnitudes, randomise phases by a share: what Griffin-Lim leaves of a sound."""
    spectrum = torch.stft(waves, N_FFT, HOP, window=network.window, return_complex=True)
    angle = 3.0 * torch.rand(()) * torch.randn_like(spectrum.real)
    turned = spectrum * torch.polar(torch.ones_like(angle), angle)
    return torch.istft(turned, N_FFT, HOP, window=network.window, length=AUDIO_SAMPLES)


def soften_mel(mel: Tensor) -> Tensor:
    """Blur in time and pitch, noise, a tilt, and a strip masked out."""
    groups = []
    for group in mel.chunk(4):
        if torch.rand(()) < 0.5:
            sigma = 0.5 + 1.0 * torch.rand(()).item()
            group = blur(group.expand(-1, 3, -1, -1), sigma)[:, :1]
        tilt = torch.linspace(-1, 1, group.shape[2])[None, None, :, None]
        group = group + 0.25 * torch.randn(len(group), 1, 1, 1) * tilt
        group = group + torch.randn_like(group) * 0.3 * torch.rand(len(group), 1, 1, 1)
        row, column = int(torch.randint(60, ())), int(torch.randint(120, ()))
        group = group.clone()
        group[:, :, row : row + 4] = 0
        group[..., column : column + 6] = 0
        groups.append(group.roll(int(torch.randint(-2, 3, ())), 2))
    return torch.cat(groups)
