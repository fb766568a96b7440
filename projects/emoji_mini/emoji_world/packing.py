"""Builds the pack from public assets: ``anyweave data world``."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from emoji_mini.emoji_world import assets
from emoji_mini.emoji_world.pack import ANIMATION_FRAMES, PACK, cut
from emoji_mini.emoji_world.playing import play
from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SOUNDS, TAKES, Sound
from emoji_mini.emoji_world.synthesis import perform
from emoji_mini.emoji_world.things import THINGS

_ANIMATION_EDGE = 64
_PEAK = 0.8
_STAMP = (1980, 1, 1, 0, 0, 0)  # the same files make the same archive
LICENCES = {
    "pictures.zip": f"npm {assets.EMOJI}: Microsoft Fluent Emoji, MIT",
    "animations.zip": "npm @lobehub/fluent-emoji-anim-1 to -4, 1.0.0: Microsoft Fluent Emoji, MIT",
    "sounds.zip, instruments": f"Debian {assets.SOUNDFONT}: FluidR3_GM, MIT, by fluidsynth",
    "sounds.zip, the rest": "emoji_world.synthesis: made by this project, Apache-2.0",
}


def build_pack(folder: Path = PACK) -> dict[str, int]:
    """Fetch the public assets and write the pack; returns the size in bytes of each file."""
    assets.fetch()
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {name: assets.sprite_file(thing).read_bytes() for name, thing in THINGS.items()}
    _write(folder / "pictures.zip", pictures, ".webp")
    animations = {name: _strip(name) for name, thing in THINGS.items() if thing.does}
    _write(folder / "animations.zip", animations, ".webp")
    with tempfile.TemporaryDirectory() as work:
        sounds = {name: _takes(sound, Path(work)) for name, sound in SOUNDS.items()}
    _write(folder / "sounds.zip", sounds, ".ogg")
    (folder / "index.json").write_text(json.dumps({"licences": LICENCES}, indent=1) + "\n")
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir())}


def _write(file: Path, entries: dict[str, bytes], suffix: str) -> None:
    """Write an archive of small files that are already compressed."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(entries.items()):
            archive.writestr(zipfile.ZipInfo(name + suffix, _STAMP), content)


def _strip(name: str) -> bytes:
    """An animated emoji as one row of frames, evenly spaced over its loop."""
    frames = []
    with Image.open(assets.animation_file(THINGS[name])) as film:
        for number in range(ANIMATION_FRAMES):
            film.seek(number * film.n_frames // ANIMATION_FRAMES)  # type: ignore[attr-defined]
            frames.append(np.asarray(film.convert("RGBA")))
    tight = [Image.fromarray(frame, "RGBA") for frame in cut(np.stack(frames))]
    for frame in tight:
        frame.thumbnail((_ANIMATION_EDGE, _ANIMATION_EDGE), Image.Resampling.LANCZOS)
    row = Image.fromarray(np.concatenate([np.asarray(frame) for frame in tight], 1), "RGBA")
    out = io.BytesIO()
    row.save(out, "WEBP", quality=85, method=6)
    return out.getvalue()


def _takes(sound: Sound, work: Path) -> bytes:
    """All takes of a sound in a row, equally loud."""
    waves = []
    for take in range(TAKES):
        if sound.source == "soundfont":
            wave = play(sound, take, work)
        else:
            wave = perform(sound.name, take)
        waves.append(wave / (np.abs(wave).max() + 1e-9) * _PEAK)
    out = io.BytesIO()
    soundfile.write(out, np.concatenate(waves), SAMPLE_RATE, format="OGG", subtype="VORBIS")
    return out.getvalue()
