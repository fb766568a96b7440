"""Animal voices made from first principles (harmonics, glides, noise), so that no recording's
licence applies.

Each function gives one utterance as ``float32[S]`` at `SAMPLE_RATE`; `perform` places utterances in
time. The numbers are rough pitches and envelopes of the animals, chosen by ear and spectrogram.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emoji_mini.world.catalogue import AUDIO_SAMPLES, SAMPLE_RATE

Wave = NDArray[np.float32]


def _voice(
    pitch: NDArray[np.float64],
    formants: tuple[tuple[float, float, float], ...],
    roughness: float = 0.0,
) -> NDArray[np.float64]:
    """Sum of harmonics of a gliding `pitch` (Hz per sample), weighted by resonances (centre, width,
    gain).
    """
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    wave = np.zeros_like(phase)
    for harmonic in range(1, 40):
        frequency = pitch * harmonic
        gain = sum(g * np.exp(-(((frequency - c) / w) ** 2)) for c, w, g in formants)
        wave += np.where(frequency < SAMPLE_RATE / 2.2, gain, 0.0) * np.sin(harmonic * phase)
    if roughness:
        wave *= 1 + roughness * np.sin(phase / 2)
    return wave


def _envelope(size: int, attack: float, release: float) -> NDArray[np.float64]:
    t = np.linspace(0, 1, size)
    return np.minimum(1, t / attack) * np.minimum(1, (1 - t) / release)


def _glide(points: list[float], size: int, factor: float) -> NDArray[np.float64]:
    return np.interp(np.linspace(0, len(points) - 1, size), range(len(points)), points) * factor


def _dog(rng: np.random.Generator, factor: float) -> NDArray[np.float64]:
    size = int(SAMPLE_RATE * rng.uniform(0.14, 0.2))
    wave = _voice(_glide([320, 520, 380], size, factor), ((700, 350, 1.0), (1500, 500, 0.5)), 0.6)
    noise = rng.standard_normal(size) * 0.25
    return (wave + noise) * _envelope(size, 0.08, 0.6)


def _cat(rng: np.random.Generator, factor: float) -> NDArray[np.float64]:
    size = int(SAMPLE_RATE * rng.uniform(0.6, 0.85))
    wave = _voice(
        _glide([480, 720, 760, 620, 430], size, factor),
        ((900, 400, 1.0), (2100, 600, 0.6), (3300, 500, 0.3)),
    )
    return wave * _envelope(size, 0.25, 0.35)


def _cow(rng: np.random.Generator, factor: float) -> NDArray[np.float64]:
    size = int(SAMPLE_RATE * rng.uniform(1.0, 1.4))
    wave = _voice(
        _glide([115, 150, 155, 120], size, factor), ((250, 180, 1.0), (700, 250, 0.5)), 0.3
    )
    return wave * _envelope(size, 0.2, 0.3)


def _frog(rng: np.random.Generator, factor: float) -> NDArray[np.float64]:
    size = int(SAMPLE_RATE * rng.uniform(0.28, 0.4))
    t = np.arange(size) / SAMPLE_RATE
    pulses = (np.sin(2 * np.pi * 38 * factor * t) > 0.2).astype(float)
    wave = _voice(_glide([210, 260], size, factor), ((600, 250, 1.0), (1250, 250, 0.8)))
    return wave * pulses * _envelope(size, 0.1, 0.2)


def _duck(rng: np.random.Generator, factor: float) -> NDArray[np.float64]:
    size = int(SAMPLE_RATE * rng.uniform(0.16, 0.22))
    wave = _voice(
        _glide([260, 230, 190], size, factor),
        ((1150, 200, 1.0), (2400, 300, 0.9), (3600, 300, 0.4)),
        0.2,
    )
    return wave * _envelope(size, 0.1, 0.4)


def _bee(rng: np.random.Generator, factor: float) -> NDArray[np.float64]:
    size = int(SAMPLE_RATE * rng.uniform(1.5, 1.9))
    wobble = 1 + 0.06 * np.sin(2 * np.pi * rng.uniform(2, 5) * np.arange(size) / SAMPLE_RATE)
    wave = _voice(
        _glide([215, 235, 205], size, factor) * wobble, ((400, 600, 1.0), (3000, 2500, 0.5))
    )
    return wave * _envelope(size, 0.1, 0.1)


def _sheep(rng: np.random.Generator, factor: float) -> NDArray[np.float64]:
    size = int(SAMPLE_RATE * rng.uniform(0.7, 0.95))
    t = np.arange(size) / SAMPLE_RATE
    tremble = 1 + 0.08 * np.sin(2 * np.pi * 9 * t)
    wave = _voice(
        _glide([330, 350, 300], size, factor) * tremble, ((800, 250, 1.0), (1800, 300, 0.7))
    )
    return wave * (1 + 0.6 * np.sin(2 * np.pi * 9 * t)) * _envelope(size, 0.1, 0.2)


# name -> (voice, utterances, gap in seconds between them)
_VOICES: dict[str, tuple[Callable[..., NDArray[np.float64]], int, float]] = {
    "dog": (_dog, 4, 0.22),
    "cat": (_cat, 2, 0.2),
    "cow": (_cow, 1, 0.3),
    "frog": (_frog, 3, 0.2),
    "duck": (_duck, 5, 0.12),
    "bee": (_bee, 1, 0.1),
    "sheep": (_sheep, 2, 0.15),
}


def perform(name: str, rng: np.random.Generator) -> Wave:
    """One take of the animal `name`: ``float32[AUDIO_SAMPLES]``, peak 0.8. Raises `ValueError` for
    another name.
    """
    if name not in _VOICES:
        raise ValueError(f"no synthetic voice for {name!r}; there are {', '.join(_VOICES)}")
    voice, utterances, gap = _VOICES[name]
    out = np.zeros(AUDIO_SAMPLES)
    factor = rng.uniform(0.85, 1.2)
    position = int(rng.uniform(0.02, 0.15) * SAMPLE_RATE)
    for _ in range(utterances):
        wave = voice(rng, factor * rng.uniform(0.96, 1.04))
        room = AUDIO_SAMPLES - position
        if room <= 0:
            break
        out[position : position + len(wave)] += wave[:room]
        position += len(wave) + int(gap * rng.uniform(0.8, 1.3) * SAMPLE_RATE)
    return (out / (np.abs(out).max() + 1e-9) * 0.8).astype(np.float32)
