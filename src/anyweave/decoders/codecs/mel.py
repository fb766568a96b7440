"""Log-mel spectrograms in both directions.

`log_mel` is the forward transform an audio decoder is trained on; `griffin_lim` turns its output
back into a wave for folders without a neural vocoder. Frames follow the convention of HiFi-GAN and
AudioLDM: magnitudes (not powers), natural logarithm, and reflection padding of ``(n_fft - hop) /
2``, so that S samples give exactly S / hop frames.

Shape legend: B batch, S samples, T frames, F frequency bins, M mel bands, N n_fft.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import audio_utils

from anyweave.files import read_object, write_json

MEL_CONFIG_FILE = "mel_config.json"


@dataclass(frozen=True, kw_only=True)
class MelConfig:
    """The geometry of a log-mel spectrogram. The defaults suit 16 kHz and AudioLDM's 64 bands.

    `mel_scale` is "slaney" (linear to 1 kHz, then logarithmic; librosa's default, used by AudioLDM)
    or "htk" (2595 log10(1 + f/700)); `area_norm` divides each triangle by its width in Hz (Slaney's
    normalisation). The logarithm is standardised to ``(log - mean) / std``; AudioLDM uses it raw
    (0, 1). If `peak` is set, waves are first scaled to that largest absolute value (AudioLDM trains
    at 0.5).
    """

    sample_rate: int = 16_000
    n_fft: int = 1024
    hop_length: int = 256
    num_mels: int = 64
    fmin: float = 0.0
    fmax: float = 8000.0
    mel_scale: Literal["slaney", "htk"] = "slaney"
    area_norm: bool = True
    floor: float = 1e-5
    mean: float = 0.0
    std: float = 1.0
    peak: float | None = None

    def __post_init__(self) -> None:
        if self.mel_scale not in ("slaney", "htk"):
            raise ValueError(f"mel_scale is 'slaney' or 'htk', got {self.mel_scale!r}")
        if not 0 < self.hop_length <= self.n_fft or (self.n_fft - self.hop_length) % 2:
            raise ValueError(
                "hop_length must be in 1..n_fft and n_fft - hop_length even, "
                f"got hop_length={self.hop_length} and n_fft={self.n_fft}"
            )
        if self.std <= 0:
            raise ValueError(f"std must be positive, got {self.std}")
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError(
                f"need 0 <= fmin < fmax <= sample_rate / 2 = {self.sample_rate / 2:g} Hz, "
                f"got fmin={self.fmin:g} and fmax={self.fmax:g}"
            )

    @property
    def padding(self) -> int:
        """Samples added on each side of a wave before framing."""
        return (self.n_fft - self.hop_length) // 2

    @classmethod
    def load(cls, path: str | Path) -> MelConfig:
        """Read `mel_config.json`. Raises `ValueError` for unknown keys."""
        values = read_object(path)
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"{path}: unknown keys {unknown}; known are {sorted(known)}")
        return cls(**values)

    def save(self, path: str | Path) -> None:
        """Write `mel_config.json`."""
        write_json(path, asdict(self))


@lru_cache(maxsize=8)
def mel_filter_bank(config: MelConfig) -> Float[Tensor, "M F"]:
    """Triangular filters, equally spaced in mel, from the F = n_fft / 2 + 1 linear bins to M bands
    (float32).
    """
    bank = audio_utils.mel_filter_bank(
        config.n_fft // 2 + 1,
        config.num_mels,
        config.fmin,
        config.fmax,
        config.sample_rate,
        norm="slaney" if config.area_norm else None,
        mel_scale=config.mel_scale,
    )
    return torch.from_numpy(bank).T.float()


def _stft(padded_BS: Tensor, config: MelConfig) -> Tensor:
    window = torch.hann_window(config.n_fft, device=padded_BS.device, dtype=padded_BS.dtype)
    return torch.stft(
        padded_BS, config.n_fft, config.hop_length, window=window, center=False, return_complex=True
    )


def _istft(spectrum_BFT: Tensor, config: MelConfig) -> Tensor:
    """Windowed overlap-add: the padded wave of ``(T - 1) * hop + n_fft`` samples that `_stft` would
    frame.
    """
    window = torch.hann_window(config.n_fft, device=spectrum_BFT.device)
    frames_BNT = torch.fft.irfft(spectrum_BFT, n=config.n_fft, dim=1) * window[None, :, None]
    num_frames = frames_BNT.shape[-1]
    length = (num_frames - 1) * config.hop_length + config.n_fft

    def overlap_add(frames: Tensor) -> Tensor:
        kernel, stride = (1, config.n_fft), (1, config.hop_length)
        return F.fold(frames, (1, length), kernel, stride=stride)[:, 0, 0]

    weight = overlap_add(window.square()[None, :, None].expand(1, -1, num_frames))
    # Only the window's vanishing ends cover the outermost samples; cropping removes those.
    return overlap_add(frames_BNT) / weight.clamp(min=1e-3)


def log_mel(
    wave: Float[Tensor, "B S"], config: MelConfig | None = None
) -> Float[Tensor, "B 1 T M"]:
    """The standardised natural-log mel spectrogram of mono waves (-1..1), T = ceil(S / hop_length)
    frames.

    Waves whose length is not a multiple of the hop are padded with silence. Raises `ValueError` for
    a wave too short for the reflection padding.
    """
    config = config or MelConfig()
    wave = wave.float()
    remainder = -wave.shape[-1] % config.hop_length
    wave = F.pad(wave, (0, remainder))
    if wave.shape[-1] <= config.padding:
        raise ValueError(
            f"a wave of {wave.shape[-1]} samples is too short for n_fft={config.n_fft}; "
            f"it needs more than {config.padding} samples"
        )
    padded = F.pad(wave[:, None], (config.padding, config.padding), mode="reflect")[:, 0]
    magnitude_BFT = _stft(padded, config).abs()
    mel_BMT = mel_filter_bank(config).to(wave.device) @ magnitude_BFT
    logarithm = mel_BMT.clamp(min=config.floor).log()
    return ((logarithm - config.mean) / config.std).transpose(1, 2)[:, None]


def linear_magnitude(
    mel: Float[Tensor, "B M T"], config: MelConfig, *, num_iterations: int = 60
) -> Float[Tensor, "B F T"]:
    """Magnitudes whose mel bands are `mel`, made of the main lobes of steady tones.

    Non-negative least squares by multiplicative updates. A band covers several bins, so many
    magnitudes fit. Requiring the lobe of a tone under a Hann window (half its height in the two
    neighbouring bins) picks one that sounds at the right pitch.
    """
    num_bins = config.n_fft // 2 + 1
    side = torch.full((num_bins - 1,), 0.5)
    lobes_FF = (torch.eye(num_bins) + side.diag(1) + side.diag(-1)).to(mel.device)
    bank_MF = mel_filter_bank(config).to(mel.device) @ lobes_FF
    target_BFT = bank_MF.T @ mel
    gram_FF = bank_MF.T @ bank_MF
    tones_BFT = target_BFT / (bank_MF.T @ bank_MF.sum(1)).clamp(min=1e-8)[None, :, None] + 1e-8
    for _ in range(num_iterations):
        # Over-relaxed: exponents below 2 converge, and 1.8 needs half as many steps as 1.
        tones_BFT = tones_BFT * (target_BFT / (gram_FF @ tones_BFT).clamp(min=1e-10)).pow(1.8)
    return lobes_FF @ tones_BFT


def _initial_phase(
    num_bins: int, num_frames: int, config: MelConfig, seed: int
) -> Float[Tensor, "F T"]:
    """Phases of steady tones at every bin's frequency, with a little noise from `seed`.

    Under a symmetric window, the bins around a tone alternate in sign. Starting there instead of at
    random phases keeps sustained notes steady; plain Griffin-Lim makes them flutter.
    """
    bins = torch.arange(num_bins)[:, None]
    frames = torch.arange(num_frames)[None]
    steady = 2 * math.pi * bins * frames * config.hop_length / config.n_fft + math.pi * bins
    generator = torch.Generator().manual_seed(seed)
    return steady + (torch.rand(num_bins, num_frames, generator=generator) - 0.5) * math.pi / 4


@torch.no_grad()
def griffin_lim(
    log_mel: Float[Tensor, "B 1 T M"],
    config: MelConfig | None = None,
    *,
    num_iterations: int = 48,
    momentum: float = 0.99,
    seed: int = 0,
) -> Float[Tensor, "B S"]:
    """Waves of S = T * hop_length samples whose log-mel spectrogram is close to `log_mel`, clipped
    to -1..1.

    The fast Griffin-Lim algorithm (Perraudin, Balazs and Sondergaard, 2013). The initial phase
    comes from `seed` and is the same for every item of a batch, so a sound does not depend on its
    neighbours. Raises `ValueError` if the number of bands differs from the config's.
    """
    config = config or MelConfig()
    if log_mel.shape[-1] != config.num_mels:
        raise ValueError(
            f"the spectrogram has {log_mel.shape[-1]} mel bands, the config {config.num_mels}"
        )
    mel_BMT = (log_mel[:, 0].float() * config.std + config.mean).exp().transpose(1, 2)
    # Bands at the floor are silence, not a quiet hiss.
    mel_BMT = torch.where(mel_BMT <= config.floor * 1.01, torch.zeros_like(mel_BMT), mel_BMT)
    magnitude_BFT = linear_magnitude(mel_BMT, config)
    phase_FT = _initial_phase(magnitude_BFT.shape[1], magnitude_BFT.shape[2], config, seed)
    estimate = torch.polar(magnitude_BFT, phase_FT.to(log_mel.device).expand_as(magnitude_BFT))
    previous = torch.zeros_like(estimate)
    for _ in range(num_iterations):
        consistent = _stft(_istft(estimate, config), config)
        accelerated = consistent + momentum * (consistent - previous)
        previous = consistent
        estimate = magnitude_BFT * accelerated / accelerated.abs().clamp(min=1e-12)
    wave = _istft(estimate, config)[:, config.padding :]
    return wave[:, : log_mel.shape[2] * config.hop_length].clamp(-1, 1)
