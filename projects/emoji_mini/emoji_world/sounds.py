"""What can be heard: the table of sounds (`sounds.toml`)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

SAMPLE_RATE = 16_000  # Hz
SAMPLES = 4 * SAMPLE_RATE
TAKES = 8  # performances of each sound; the last TEST_TAKES of them are heard only in tests
TEST_TAKES = 2


@dataclass(frozen=True, kw_only=True)
class Sound:
    """One kind of sound. `phrase` is its caption, `words` are other wordings; `thing` is the thing
    of the world that makes it, if any.

    `source` is "soundfont" (with a General MIDI `program`, 128 for the drum kit) or "synthesis".
    """

    name: str
    phrase: str
    words: tuple[str, ...]
    source: str
    thing: str = ""
    program: int = -1


def _read() -> dict[str, Sound]:
    table = tomllib.loads((Path(__file__).parent / "sounds.toml").read_text("utf-8"))
    return {
        name: Sound(name=name, **{**row, "words": tuple(row["words"])})
        for name, row in table.items()
    }


SOUNDS: dict[str, Sound] = _read()
SOUND_OF_THING = {sound.thing: sound.name for sound in SOUNDS.values() if sound.thing}
