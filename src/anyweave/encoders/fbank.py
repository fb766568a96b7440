"""Kaldi-style log-mel filterbank energies, the audio input that ImageBind was trained on."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

LOWEST_HZ = 20.0  # Kaldi's default lower edge; the upper edge is half the sample rate
PREEMPHASIS = 0.97


def kaldi_fbank(
    wave: Float[Tensor, " S"],
    *,
    sample_rate: int = 16000,
    num_mel_bins: int = 128,
    frame_length_ms: float = 25.0,
    frame_shift_ms: float = 10.0,
) -> Float[Tensor, "F K"]:
    """F frames of K natural-log mel energies. `wave` is in -1..1.

    Frames lie wholly inside the wave (Kaldi's `snip_edges`): F = 1 + (S - window) // shift, and 0
    for a wave shorter than one window. Per frame: remove the mean, pre-emphasis 0.97, Hann window,
    power spectrum padded to a power of two, triangular filters equally spaced in mel, log floored
    at float32 epsilon. No dither.
    """
    window = int(sample_rate * frame_length_ms * 0.001)
    shift = int(sample_rate * frame_shift_ms * 0.001)
    if wave.shape[0] < window:
        return wave.new_zeros((0, num_mel_bins))
    fft_size = 1 << (window - 1).bit_length()
    frames = wave.float().unfold(0, window, shift)
    frames = frames - frames.mean(dim=1, keepdim=True)
    previous = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    frames = (frames - PREEMPHASIS * previous) * torch.hann_window(window, periodic=False)
    power = torch.fft.rfft(frames, n=fft_size).abs().square()
    energies = power @ mel_filters(num_mel_bins, fft_size, sample_rate)
    return energies.clamp_min(torch.finfo(torch.float32).eps).log()


@lru_cache(maxsize=8)
def mel_filters(num_mel_bins: int, fft_size: int, sample_rate: int) -> Float[Tensor, "R K"]:
    """The weight of each of R = fft_size/2 + 1 frequency bins in each of K triangles, linear in
    mel.

    The Nyquist row is zero, as in Kaldi, whose filters stop one bin short of it.
    """
    edges = torch.tensor([LOWEST_HZ, sample_rate / 2], dtype=torch.float64)
    low, high = _hz_to_mel(edges).tolist()
    step = (high - low) / (num_mel_bins + 1)
    left = low + step * torch.arange(num_mel_bins, dtype=torch.float64)
    bins_hz = torch.arange(fft_size // 2, dtype=torch.float64) * sample_rate / fft_size
    mel = _hz_to_mel(bins_hz)[:, None]
    rising, falling = (mel - left) / step, (left + 2 * step - mel) / step
    weights = torch.minimum(rising, falling).clamp_min(0.0)
    return torch.cat([weights, weights.new_zeros((1, num_mel_bins))]).float()


def _hz_to_mel(hz: Tensor) -> Tensor:
    return 1127.0 * torch.log1p(hz / 700.0)
