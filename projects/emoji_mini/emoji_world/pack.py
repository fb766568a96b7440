"""The pack: every picture and sound of the world in one small folder that ships.

`packing` makes it. Each archive holds one file per thing, so only what is used is decoded.
"""

from __future__ import annotations

import io
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from emoji_mini.emoji_world.sounds import SAMPLES, TAKES

PACK = Path(__file__).parent / "pack"
ANIMATION_FRAMES = 16


class Pack:
    """The pack in a folder. Raises `ValueError` when the folder holds none."""

    def __init__(self, folder: Path = PACK) -> None:
        if not (folder / "index.json").is_file():
            raise ValueError(
                f"no world pack in {folder}; to build it: python -m emoji_mini.emoji_world.packing"
            )
        # In memory: an open file would share its position with every forked process.
        self._pictures, self._animations, self._sounds = (
            zipfile.ZipFile(io.BytesIO((folder / f"{kind}.zip").read_bytes()))
            for kind in ("pictures", "animations", "sounds")
        )

    def picture(self, name: str) -> NDArray[np.uint8]:
        """A thing's picture without its empty margin, ``uint8[H, W, 4]``, at most 256 pixels."""
        with Image.open(io.BytesIO(self._pictures.read(f"{name}.webp"))) as picture:
            return cut(np.asarray(picture.convert("RGBA"))[None])[0]

    @lru_cache(maxsize=128)  # noqa: B019  (there is one pack, and it lives as long as the process)
    def animation(self, name: str) -> NDArray[np.uint8]:
        """A thing's own motion, ``uint8[16, H, W, 4]``, the longer edge 64."""
        with Image.open(io.BytesIO(self._animations.read(f"{name}.webp"))) as strip:
            pixels = np.asarray(strip.convert("RGBA"))
        return np.stack(np.split(pixels, ANIMATION_FRAMES, axis=1))

    @lru_cache(maxsize=64)  # noqa: B019
    def takes(self, name: str) -> NDArray[np.float32]:
        """The performances of a sound, ``float32[TAKES, SAMPLES]``."""
        wave, _ = soundfile.read(io.BytesIO(self._sounds.read(f"{name}.ogg")), dtype="float32")
        wave = np.pad(wave[: TAKES * SAMPLES], (0, max(0, TAKES * SAMPLES - len(wave))))
        return np.clip(wave, -1, 1).reshape(TAKES, SAMPLES)


@lru_cache(maxsize=1)
def load_pack() -> Pack:
    """The shipped pack."""
    return Pack()


def cut(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames without the empty margin that all of them share."""
    seen = frames[..., 3].max(0) > 8
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return frames[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
