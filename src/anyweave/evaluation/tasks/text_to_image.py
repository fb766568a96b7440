"""Pictures from 30,000 captions of COCO val2014, one of each picture, drawn with seed 0."""

from __future__ import annotations

import random
from pathlib import Path

from anyweave.evaluation.metrics.media import CLIP, FID
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.evaluation.tasks.captioning import pairs_of
from anyweave.messages import Image, Message

_NUMBER = 30_000


def records(folder: Path) -> list[Record]:
    path = needed_file(folder, "captions_val2014.json", "annotations/captions_val2014.json")
    pairs = pairs_of(path, "coco", media=folder / "val2014")
    random.Random(0).shuffle(pairs)
    first = {picture: caption for picture, caption in reversed(pairs)}
    chosen = list(dict.fromkeys(picture for picture, _ in pairs))[:_NUMBER]
    return [
        Record(
            key=Path(picture).name,
            ask=(Message("user", first[picture]),),
            references=(first[picture],),
            real=Image(picture),
        )  # fmt: skip
        for picture in chosen
    ]


TASK = Task(
    title="Pictures of COCO captions",
    folder="coco",
    layout="annotations/captions_val2014.json, val2014/*.jpg",
    records=records,
    makes="image",
    max_new_tokens=64,
    metrics=(FID, CLIP),
    published={"FID": {"4": 11.18, "8": 11.18}},
    note="FID against the pictures of the same captions. It depends on their number, the guidance "
    "scale and the resizing, none of which the paper gives; 10.07 in table 4 is of a tuned model",
)
