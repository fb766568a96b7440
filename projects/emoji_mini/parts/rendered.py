"""Rendered world scenes as arrays on disk, made once and memory-mapped, so that training never
waits for drawing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from anyweave.files import read_json, whole_file, write_json
from anyweave.messages import Modality
from emoji_mini.world.catalogue import AUDIO_SAMPLES, IMAGE_SIZE, NUM_FRAMES
from emoji_mini.world.render import render
from emoji_mini.world.scenes import (
    AudioScene,
    ImageScene,
    Scene,
    Split,
    VideoScene,
    sample_audio,
    sample_image,
    sample_video,
)

_SHAPES: dict[Modality, tuple[int, ...]] = {
    "image": (IMAGE_SIZE, IMAGE_SIZE, 3),
    "video": (NUM_FRAMES, IMAGE_SIZE, IMAGE_SIZE, 3),
    "audio": (AUDIO_SAMPLES,),
}
_SAMPLERS: dict[Modality, Callable[[np.random.Generator, Split], Scene]] = {
    "image": sample_image,
    "video": sample_video,
    "audio": sample_audio,
}
_TYPES: dict[Modality, Callable[..., Scene]] = {
    "image": ImageScene,
    "video": VideoScene,
    "audio": AudioScene,
}


def rendered_scenes(
    modality: Modality, split: Split, size: int, seed: int, cache: Path
) -> tuple[list[Scene], NDArray[np.uint8] | NDArray[np.float16]]:
    """`size` random scenes of `split` and their renderings, ``[size, ...]`` (audio as float16),
    cached in `cache`.
    """
    cache.mkdir(parents=True, exist_ok=True)
    stem = cache / f"{modality}-{split}-{size}-{seed}"
    dtype = np.float16 if modality == "audio" else np.uint8
    index, data = stem.with_suffix(".json"), stem.with_suffix(".npy")
    if not index.is_file():
        rng = np.random.default_rng([seed, len(modality), split == "test"])
        scenes = [_SAMPLERS[modality](rng, split) for _ in range(size)]
        shape = (size, *_SHAPES[modality])
        with whole_file(data) as file:
            array = np.lib.format.open_memmap(file.name, mode="w+", dtype=dtype, shape=shape)
            for number in track(range(size), f"drawing {size} {modality} scenes", transient=True):
                array[number] = render(scenes[number])
            array.flush()
        write_json(index, [asdict(scene) for scene in scenes], indent=None)
    rows = read_json(index, max_bytes=1 << 31)
    kind = _TYPES[modality]
    scenes = [
        kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}) for row in rows
    ]
    return scenes, np.load(data, mmap_mode="r")
