"""COCO captions, Karpathy test split: 5,000 pictures with five captions each."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.captions import BLEU4, CIDER, METEOR, SPICE
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.evaluation.tasks.captioning import captioned, pairs_of


def records(folder: Path) -> list[Record]:
    return captioned(
        pairs_of(needed_file(folder, "dataset_coco.json"), "coco", split="test"), "image"
    )


TASK = Task(
    title="Captions of COCO",
    folder="coco",
    layout="dataset_coco.json (Karpathy), val2014/*.jpg",
    records=records,
    reads=("image",),
    metrics=(CIDER, BLEU4, METEOR, SPICE),
    published={
        "CIDEr": {"2": 124.9, "12": 158.3},
        "B@4": {"12": 45.1},
        "METEOR": {"12": 34.1},
    },
    note="tables 2 and 12 give two CIDEr of one model and do not say how it was tuned for each",
)
