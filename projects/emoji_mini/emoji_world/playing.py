"""Short phrases on General MIDI instruments, played by fluidsynth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from emoji_mini.emoji_world.assets import run, soundfont_file
from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SAMPLES, Sound
from emoji_mini.midi import TICKS_PER_SECOND, midi_file

_DRUM_KIT, _DRUM_CHANNEL = 128, 9
_SCALE = (0, 2, 4, 5, 7, 9, 11, 12)
_CHORDS = {"piano", "organ", "accordion", "guitar", "harp"}
_HELD = {"bird": 3, "telephone": 2, "helicopter": 1, "applause": 1}  # effects: notes held
_LOW = {"guitar": 48, "organ": 48, "accordion": 55, "saxophone": 53, "trumpet": 58, "harp": 50}
_DRUM_BAR = ((36,), (42,), (38, 42), (42,), (36,), (36, 42), (38,), (42, 45))
_Note = tuple[float, float, int, int]  # start s, length s, key, velocity


def play(sound: Sound, take: int, work: Path) -> NDArray[np.float32]:
    """One take of an instrument, ``float32[SAMPLES]``."""
    rng = np.random.default_rng([take, *sound.name.encode()])
    midi, wav = work / "phrase.mid", work / "phrase.wav"
    midi.write_bytes(_midi(sound.program, _phrase(sound.name, take, rng)))
    options = ("-ni", "-q", "-g", "0.7", "-r", str(SAMPLE_RATE), "-F", str(wav))
    run("fluidsynth", *options, str(soundfont_file()), str(midi), cwd=work)
    wave, _ = soundfile.read(wav, dtype="float32", always_2d=True)
    mono = wave.mean(1)[:SAMPLES]
    return np.pad(mono, (0, SAMPLES - len(mono)))


def _phrase(name: str, take: int, rng: np.random.Generator) -> list[_Note]:
    """About four seconds of notes."""
    key = 54 + take * 5 % 13  # a different one for each take
    if name in _HELD:
        length = 4.0 / _HELD[name]
        return [(n * length, length * 0.95, key, 110) for n in range(_HELD[name])]
    if name == "bell":
        step = rng.uniform(1.0, 1.4)
        return [(n * step, step, key + 3, int(rng.integers(95, 120))) for n in range(3)]
    beat = 60 / rng.uniform(100, 150)
    starts = np.arange(0, 3.8, beat / 2)
    if name == "drum":
        bar = [_DRUM_BAR[n % len(_DRUM_BAR)] for n in range(len(starts))]
        return [
            (float(at), 0.2, key, int(rng.integers(80, 120)))
            for at, keys in zip(starts, bar, strict=True)
            for key in keys
        ]
    if name == "maracas":
        return [
            (float(at), 0.1, 70, 120 if n % 2 == 0 else int(rng.integers(60, 90)))
            for n, at in enumerate(np.arange(0, 3.9, beat / 4))
        ]
    return _melody(name, rng, beat)


def _melody(name: str, rng: np.random.Generator, beat: float) -> list[_Note]:
    """A walk over the major scale in notes of half a beat to one and a half, with chords where the
    instrument plays them.
    """
    root = _LOW.get(name, 60) + int(rng.integers(0, 7))
    notes: list[_Note] = []
    at, step = 0.0, int(rng.integers(len(_SCALE)))
    while at < 3.8:
        length = beat * float(rng.choice((0.5, 1.0, 1.0, 1.5)))
        velocity = int(rng.integers(80, 118))
        notes.append((at, length * 0.92, root + _SCALE[step], velocity))
        if name in _CHORDS and rng.random() < 0.5:
            for third in (2, 4):
                key = root + _SCALE[(step + third) % len(_SCALE)]
                notes.append((at, length * 0.92, key, velocity - 20))
        step = int(np.clip(step + rng.integers(-2, 3), 0, len(_SCALE) - 1))
        at += length
    return notes


def _midi(program: int, notes: list[_Note]) -> bytes:
    """The notes as a MIDI file. The program is chosen first."""
    channel = _DRUM_CHANNEL if program == _DRUM_KIT else 0
    events = [] if program == _DRUM_KIT else [(0, bytes([0xC0, program]))]
    for start, length, key, velocity in notes:
        events.append((round(start * TICKS_PER_SECOND), bytes([0x90 | channel, key, velocity])))
        events.append((round((start + length) * TICKS_PER_SECOND), bytes([0x80 | channel, key, 0])))
    return midi_file(sorted(events, key=lambda event: (event[0], event[1][0] < 0xC0, event[1])))
