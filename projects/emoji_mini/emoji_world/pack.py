"""The pack: every picture and sound of the world in one small folder that ships.

`build_pack` makes it from the public assets (see `assets`); `load_pack` reads it. Each archive
holds one file a thing, so only what is used is decoded.
"""

from __future__ import annotations

import io
import json
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emoji_world import assets
from emoji_world.things import THINGS

PACK = Path(__file__).parent / "pack"
ANIMATION_FRAMES = 16
_ANIMATION_EDGE = 64
_STAMP = (1980, 1, 1, 0, 0, 0)  # the same files make the same archive
LICENCES = {
    "pictures.zip": f"npm {assets.EMOJI}: Microsoft Fluent Emoji, MIT",
    "animations.zip": "npm @lobehub/fluent-emoji-anim-1 to -4, 1.0.0: Microsoft Fluent Emoji, MIT",
}


class Pack:
    """The pack of a folder. Raises `ValueError` when the folder holds none."""

    def __init__(self, folder: Path = PACK) -> None:
        if not (folder / "index.json").is_file():
            raise ValueError(
                f"no world pack in {folder}; build it with: python -m emoji_world.pack"
            )
        self._pictures = zipfile.ZipFile(folder / "pictures.zip")
        self._animations = zipfile.ZipFile(folder / "animations.zip")

    def picture(self, name: str) -> NDArray[np.uint8]:
        """A thing's picture without its empty margin, ``uint8[H, W, 4]``, at most 256 pixels."""
        with Image.open(io.BytesIO(self._pictures.read(f"{name}.webp"))) as picture:
            return _cut(np.asarray(picture.convert("RGBA"))[None])[0]

    @lru_cache(maxsize=128)  # noqa: B019  (there is one pack, and it lives as long as the process)
    def animation(self, name: str) -> NDArray[np.uint8]:
        """What a thing does of its own, ``uint8[16, H, W, 4]``, the longer edge 64."""
        with Image.open(io.BytesIO(self._animations.read(f"{name}.webp"))) as strip:
            pixels = np.asarray(strip.convert("RGBA"))
        return np.stack(np.split(pixels, ANIMATION_FRAMES, axis=1))


@lru_cache(maxsize=1)
def load_pack() -> Pack:
    """The shipped pack."""
    return Pack()


def build_pack(folder: Path = PACK) -> dict[str, int]:
    """Fetch the public assets and write the pack; returns the size in bytes of each file."""
    assets.fetch()
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {name: assets.sprite_file(thing).read_bytes() for name, thing in THINGS.items()}
    _write(folder / "pictures.zip", pictures, ".webp")
    animations = {name: _strip(name) for name, thing in THINGS.items() if thing.does}
    _write(folder / "animations.zip", animations, ".webp")
    (folder / "index.json").write_text(json.dumps({"licences": LICENCES}, indent=1) + "\n")
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir())}


def _write(file: Path, entries: dict[str, bytes], suffix: str) -> None:
    """An archive of small files that are compressed already."""
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
    cut = [Image.fromarray(frame, "RGBA") for frame in _cut(np.stack(frames))]
    for frame in cut:
        frame.thumbnail((_ANIMATION_EDGE, _ANIMATION_EDGE), Image.Resampling.LANCZOS)
    row = Image.fromarray(np.concatenate([np.asarray(frame) for frame in cut], 1), "RGBA")
    out = io.BytesIO()
    row.save(out, "WEBP", quality=85, method=6)
    return out.getvalue()


def _cut(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames without the empty margin that all of them share."""
    seen = frames[..., 3].max(0) > 8
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return frames[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


if __name__ == "__main__":
    import logging

    logging.basicConfig(level=logging.INFO)
    logging.getLogger(__name__).info("%s", build_pack())
