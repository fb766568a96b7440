"""OK-VQA, validation set: questions about COCO pictures, ten people's answers each."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.answers import VQA
from anyweave.evaluation.task import Record, Task
from anyweave.evaluation.tasks.questions import vqa_pairs

_FILES = ("OpenEnded_mscoco_val2014_questions", "mscoco_val2014_annotations")


def records(folder: Path) -> list[Record]:
    return vqa_pairs(folder, _FILES, "val2014/COCO_val2014_{:012d}.jpg")


TASK = Task(
    title="Questions of OK-VQA",
    folder="ok-vqa",
    layout=f"{_FILES[0]}.json, {_FILES[1]}.json, val2014/*.jpg",
    records=records,
    reads=("image",),
    metrics=(VQA,),
    published={"VQA accuracy": {"2": 52.1}},
)
