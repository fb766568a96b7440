"""Flickr30K, Karpathy test split: 1,000 pictures with five captions each."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.captions import BLEU4, CIDER, METEOR, SPICE
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.evaluation.tasks.captioning import captioned, pairs_of


def records(folder: Path) -> list[Record]:
    path = needed_file(folder, "dataset_flickr30k.json")
    media = folder / "flickr30k-images"
    return captioned(pairs_of(path, "coco", split="test", media=media), "image")


TASK = Task(
    title="Captions of Flickr30K",
    folder="flickr30k",
    layout="dataset_flickr30k.json (Karpathy), flickr30k-images/*.jpg",
    records=records,
    reads=("image",),
    metrics=(CIDER, BLEU4, METEOR, SPICE),
    published={"CIDEr": {"2": 84.5}},
)
