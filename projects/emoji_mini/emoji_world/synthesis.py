"""Sounds from first principles (harmonics, glides, noise), so that no recording's licence applies.

`voices.toml` says what each sound is made of; the numbers are rough pitches and envelopes of the
real things, tuned on spectrograms.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SAMPLES

_Wave = NDArray[np.float64]
_Part = dict[str, Any]
VOICES: dict[str, list[_Part]] = tomllib.loads(
    (Path(__file__).parent / "voices.toml").read_text("utf-8")
)
_HARMONICS = 40


def perform(
    name: str, take: int, voices: Mapping[str, list[_Part]] = VOICES
) -> NDArray[np.float32]:
    """One take of a sound, ``float32[SAMPLES]``. Takes differ in pitch, pace and length.

    Raises `ValueError` for a name without a voice.
    """
    if name not in voices:
        raise ValueError(f"no voice {name!r}; there are {', '.join(voices)}")
    out = np.zeros(SAMPLES)
    factor = np.random.default_rng([take, *name.encode()]).uniform(0.87, 1.16)
    for number, layer in enumerate(voices[name]):
        # Layers that share a `seed` stay in step.
        rng = np.random.default_rng([take, layer.get("seed", 100 + number), *name.encode()])
        out += _layer(layer, rng, factor)
    return out.astype(np.float32)


def _layer(layer: _Part, rng: np.random.Generator, factor: float) -> _Wave:
    """The parts of a layer, one after the other, until the time is full."""
    out = np.zeros(SAMPLES)
    parts = layer.get("parts", [layer] * layer.get("times", 1))
    gap: tuple[float, float] = layer.get("gap", (0.0, 0.0))
    pause: tuple[float, float] = layer.get("pause", gap)
    at = 0 if parts[0]["length"][0] >= 4 else int(rng.uniform(0.0, 0.12) * SAMPLE_RATE)
    turn = 0
    while at < SAMPLES:
        wave = _part(parts[turn % len(parts)], rng, factor * rng.uniform(0.97, 1.03))
        room = min(len(wave), SAMPLES - at)
        out[at : at + room] += wave[:room]
        turn += 1
        rest = pause if turn % len(parts) == 0 else gap
        at += len(wave) + max(1, int(rng.uniform(*rest) * SAMPLE_RATE))
    return out


def _part(part: _Part, rng: np.random.Generator, factor: float) -> _Wave:
    size = int(rng.uniform(*part["length"]) * SAMPLE_RATE)
    share = np.linspace(0, 1, size)
    rate, depth = part.get("tremble", (0.0, 0.0))
    tremble = np.sin(2 * np.pi * (rate * np.arange(size) / SAMPLE_RATE + rng.uniform()))
    wave = np.zeros(size)
    if "pitch" in part:
        glide = np.interp(
            share * (len(part["pitch"]) - 1), range(len(part["pitch"])), part["pitch"]
        )
        wave += _voice(glide * factor * (1 + depth / 10 * tremble), part)
    if "noise" in part:
        low, high, level = part["noise"]
        wave += level * _noise(size, low * factor, high * factor, rng)
    if "pulse" in part:
        beat, on = part["pulse"]
        wave *= np.mod(np.arange(size) / SAMPLE_RATE * beat * factor, 1) < on
    wave *= 1 + depth * tremble
    wave *= np.minimum(1, share / part.get("attack", 0.02))
    wave *= np.minimum(1, (1 - share) / part.get("release", 0.05))
    return wave * np.exp(-part.get("decay", 0.0) * share) * part.get("level", 1.0)


def _voice(pitch: _Wave, part: _Part) -> _Wave:
    """Harmonics of a gliding pitch, weighted by the formants."""
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    if "formants" not in part:
        return np.sin(phase)
    wave = np.zeros_like(phase)
    for harmonic in range(1, _HARMONICS):
        heard = pitch * harmonic
        if heard.min() > SAMPLE_RATE / 2:
            break
        gain = sum(g * np.exp(-(((heard - c) / w) ** 2)) for c, w, g in part["formants"])
        wave += np.where(heard < SAMPLE_RATE / 2.2, gain, 0.0) * np.sin(harmonic * phase)
    return wave * (1 + part.get("rough", 0.0) * np.sin(phase / 2))


def _noise(size: int, low: float, high: float, rng: np.random.Generator) -> _Wave:
    """Noise between two frequencies, of standard deviation 0.5 whatever its band."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    spectrum *= 1 / (1 + (low / np.maximum(hertz, 1)) ** 6) / (1 + (hertz / high) ** 6)
    wave = np.fft.irfft(spectrum, size)
    return wave / (wave.std() + 1e-9) * 0.5
