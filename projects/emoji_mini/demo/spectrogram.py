"""A sound as a picture: time to the right, pitch upwards, loudness as colour."""

from __future__ import annotations

import numpy as np
import PIL.Image
from jaxtyping import Float32, UInt8

# Dark to bright; the eye reads loudness from lightness.
_COLOURS = np.array(
    [(12, 8, 38), (66, 16, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)],
    dtype=np.float32,
)
_WINDOW = 1024
_LOWEST_HZ, _DYNAMIC_DB = 60.0, 70.0


def spectrogram(
    wave: Float32[np.ndarray, " S"], rate: float, *, width: int = 256, height: int = 128
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw a sound at `rate` Hz: log frequency from 60 Hz to half the rate, the loudest 70 dB."""
    power_TF = _power(wave)
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / rate)
    rows = np.geomspace(_LOWEST_HZ, rate / 2, height)
    bins = np.clip(np.searchsorted(frequencies, rows), 1, len(frequencies) - 1)
    decibels_TH = 10 * np.log10(power_TF[:, bins] + 1e-10)
    loudness = np.clip(1 + (decibels_TH - decibels_TH.max()) / _DYNAMIC_DB, 0, 1)
    if power_TF.max() < 1e-8:  # silence has no loudest part
        loudness = np.zeros_like(loudness)
    place = loudness[..., None] * (len(_COLOURS) - 1)
    low = np.minimum(place.astype(int), len(_COLOURS) - 2)
    colours_THC = _COLOURS[low[..., 0]] + (place - low) * (
        _COLOURS[low[..., 0] + 1] - _COLOURS[low[..., 0]]
    )
    upright = colours_THC.transpose(1, 0, 2)[::-1].astype(np.uint8)
    picture = PIL.Image.fromarray(np.ascontiguousarray(upright))
    return np.asarray(picture.resize((width, height), PIL.Image.Resampling.BICUBIC))


def _power(wave: Float32[np.ndarray, " S"]) -> Float32[np.ndarray, "T F"]:
    padded = np.pad(wave, _WINDOW // 2)
    starts = np.arange(0, len(padded) - _WINDOW + 1, _WINDOW // 8)
    frames = padded[starts[:, None] + np.arange(_WINDOW)] * np.hanning(_WINDOW)
    return (np.abs(np.fft.rfft(frames)) ** 2).astype(np.float32) / _WINDOW
