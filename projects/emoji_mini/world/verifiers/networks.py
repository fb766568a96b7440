"""The three verifier networks: a small residual convolution trunk whose last map gives one logit
per class and cell.

Legend: B pictures, F frames, O objects, S sounds, h w cells of the last map. Pooling the map's
logits softly (log-mean-exp) over all cells says whether a thing is there; over half of the cells,
whether it is on that side. So one map answers presence, relation and order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from emoji_mini.world.catalogue import (
    AUDIO_SAMPLES,
    BACKGROUNDS,
    MAX_COUNT,
    MOTIONS,
    OBJECTS,
    SAMPLE_RATE,
    SOUNDS,
)

NUM_MELS = 64
N_FFT = 1024
HOP = 256
_SHARPNESS = 4.0  # of the soft maximum over cells


class _Block(nn.Module):
    """Two 3x3 convolutions with a residual path; the first halves the resolution."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(in_dim, out_dim, 3, stride=2, padding=1, bias=False)
        self.down_norm = nn.BatchNorm2d(out_dim)
        self.keep = nn.Conv2d(out_dim, out_dim, 3, padding=1, bias=False)
        self.keep_norm = nn.BatchNorm2d(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.down_norm(self.down(x)))
        return torch.relu(x + self.keep_norm(self.keep(x)))


class Trunk(nn.Sequential):
    """Stem and three blocks: 16 times smaller, `widths[-1]` channels."""

    def __init__(self, in_dim: int, widths: tuple[int, ...]) -> None:
        super().__init__(
            nn.Conv2d(in_dim, widths[0], 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
            *(_Block(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)),
        )


def soft_max(logits: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K"]:
    """Log-mean-exp over cells: close to the maximum, but every cell learns."""
    cells = logits.flatten(2)
    pooled = torch.logsumexp(cells * _SHARPNESS, -1) - math.log(cells.shape[-1])
    return pooled / _SHARPNESS


@dataclass(frozen=True)
class ImageLogits:
    """`sides` holds the presence in the left, right, upper and lower half."""

    presence: Tensor
    sides: Tensor
    count: Tensor
    background: Tensor


class ImageVerifier(nn.Module):
    """Which objects, how many things (1..4), which background, what on which side of a 64x64
    picture.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (24, 48, 96, 160)
        self.trunk = Trunk(3, widths)
        self.presence = nn.Conv2d(widths[-1], len(OBJECTS), 1)
        self.count = nn.Sequential(
            nn.Conv2d(widths[-1], 16, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 16, MAX_COUNT)
        )
        self.background = nn.Linear(widths[-1], len(BACKGROUNDS))

    def forward(self, pixels: Float[Tensor, "B 3 64 64"]) -> ImageLogits:
        """`pixels` in -1..1."""
        features = self.trunk(pixels)
        cells = self.presence(features)
        h, w = cells.shape[2] // 2, cells.shape[3] // 2
        halves = (cells[..., :w], cells[..., w:], cells[:, :, :h], cells[:, :, h:])
        return ImageLogits(
            presence=soft_max(cells),
            sides=torch.stack([soft_max(half) for half in halves], dim=1),
            count=self.count(features),
            background=self.background(features.mean((2, 3))),
        )


@dataclass(frozen=True)
class VideoLogits:
    presence: Tensor
    background: Tensor
    motion: Tensor


class VideoVerifier(nn.Module):
    """Which object (frames judged one by one and averaged), which background and which motion."""

    def __init__(self) -> None:
        super().__init__()
        widths = (24, 48, 96, 160)
        self.trunk = Trunk(3, widths)
        self.presence = nn.Conv2d(widths[-1], len(OBJECTS), 1)
        self.background = nn.Linear(widths[-1], len(BACKGROUNDS))
        # Motion needs no detail: grey frames at half size, stacked as channels.
        self.motion = nn.Sequential(
            Trunk(8, (32, 48, 64)), nn.Flatten(), nn.Linear(64 * 16, len(MOTIONS))
        )

    def judge_frames(self, pixels: Float[Tensor, "B F 3 64 64"]) -> tuple[Tensor, Tensor]:
        """Object logits ``[B, O]`` and background logits ``[B, K]``, means over the F frames."""
        features = self.trunk(pixels.flatten(0, 1))
        presence = soft_max(self.presence(features)).unflatten(0, pixels.shape[:2]).mean(1)
        background = self.background(features.mean((2, 3))).unflatten(0, pixels.shape[:2]).mean(1)
        return presence, background

    def judge_motion(self, grey: Float[Tensor, "B 8 32 32"]) -> Float[Tensor, "B M"]:
        """Motion logits; what does not change is taken away first."""
        logits: Tensor = self.motion(grey - grey.mean(1, keepdim=True))
        return logits

    def forward(self, pixels: Float[Tensor, "B 8 3 64 64"]) -> VideoLogits:
        """`pixels` in -1..1."""
        presence, background = self.judge_frames(pixels)
        grey = nn.functional.avg_pool2d(pixels.mean(2), 2)
        return VideoLogits(presence, background, self.judge_motion(grey))


@dataclass(frozen=True)
class AudioLogits:
    """`halves` holds the presence in the first and in the second half of the time."""

    presence: Tensor
    halves: Tensor


class AudioVerifier(nn.Module):
    """Which sounds, and which in which half, from the log-mel spectrogram of 2.048 s."""

    filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 128)
        self.trunk = Trunk(1, widths)
        # Pitch is the vertical axis: folding it into channels keeps it, and leaves a map over time.
        self.presence = nn.Conv2d(widths[-1], len(SOUNDS), (NUM_MELS // 16, 1))
        self.register_buffer("filters", mel_filters(), persistent=False)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def log_mel(self, waves: Float[Tensor, "B samples"]) -> Float[Tensor, "B 1 64 128"]:
        """Log-mel spectrogram, level-normalised: mean 0 and deviation 1 per sound."""
        spectrum = torch.stft(waves, N_FFT, HOP, window=self.window, return_complex=True).abs()
        mel = torch.log(self.filters @ spectrum[..., : AUDIO_SAMPLES // HOP] + 1e-3)
        mean, deviation = mel.mean((1, 2), keepdim=True), mel.std((1, 2), keepdim=True)
        return ((mel - mean) / (deviation + 0.05))[:, None]

    def forward(self, mel: Float[Tensor, "B 1 64 128"]) -> AudioLogits:
        cells = self.presence(self.trunk(mel))
        half = cells.shape[3] // 2
        halves = torch.stack([soft_max(cells[..., :half]), soft_max(cells[..., half:])], dim=1)
        return AudioLogits(soft_max(cells), halves)


def mel_filters() -> Float[Tensor, "mels bins"]:
    """Triangles evenly spaced on the mel scale, ``2595 log10(1 + f / 700)``, 30 Hz to 8 kHz."""
    top = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    low = 2595 * math.log10(1 + 30 / 700)
    edges = 700 * (10 ** (torch.linspace(low, top, NUM_MELS + 2) / 2595) - 1)
    bins = torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0)
