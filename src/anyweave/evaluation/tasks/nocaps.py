"""NoCaps validation set: 4,500 pictures of Open Images with ten captions each."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.captions import BLEU4, CIDER, METEOR, SPICE
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.evaluation.tasks.captioning import captioned, pairs_of


def records(folder: Path) -> list[Record]:
    path = needed_file(folder, "nocaps_val_4500_captions.json")
    return captioned(pairs_of(path, "coco", media=folder / "images"), "image")


TASK = Task(
    title="Captions of NoCaps",
    folder="nocaps",
    layout="nocaps_val_4500_captions.json, images/*.jpg",
    records=records,
    reads=("image",),
    metrics=(CIDER, BLEU4, METEOR, SPICE),
    published={"CIDEr": {"2": 123.7}},
    note="validation set, all domains; the test set is scored by its owners' server",
)
