"""Clips of DAVIS changed by instruction.

The frames are those of DAVIS; the paper does not name its requests, so ``prompts.csv`` gives them:
`video` (a folder of frames), `instruction`, and `caption`, what the result should show.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anyweave import media
from anyweave.data.place import ReadOptions
from anyweave.data.tables import open_rows
from anyweave.evaluation.metrics.media import CLIP_I, CLIP_T
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.messages import Image, Message, Video

_RATE = 24.0  # frames/s of DAVIS


def records(folder: Path) -> list[Record]:
    rows = open_rows(needed_file(folder, "prompts.csv"), ReadOptions())
    return [
        Record(
            key=f"{row['video']}-{number}",
            ask=(Message("user", row["instruction"]),),
            source=_clip(folder / "JPEGImages" / "480p" / row["video"]),
            references=(row["caption"],),
        )  # fmt: skip
        for number, row in enumerate(rows.row(number) for number in range(len(rows)))
    ]


def _clip(folder: Path) -> Video:
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        raise ValueError(f"{folder}: no frames (*.jpg) there")
    return Video(np.stack([media.load(Image(str(path))) for path in paths]), rate=_RATE)


TASK = Task(
    title="Changing clips",
    folder="davis",
    layout="prompts.csv, JPEGImages/480p/NAME/*.jpg",
    records=records,
    makes="video",
    max_new_tokens=64,
    metrics=(CLIP_T, CLIP_I),
    published={"CLIP-T": {"15": 0.2684}, "CLIP-I": {"15": 0.9647}},
    note="the paper names no requests, so the difference says little. CLIP-I compares frames with "
    "their neighbours: a still clip has 1",
)
