"""VQAv2, validation set: questions about COCO pictures, ten people's answers each."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.answers import VQA
from anyweave.evaluation.task import Record, Task
from anyweave.evaluation.tasks.questions import vqa_pairs

_FILES = ("v2_OpenEnded_mscoco_val2014_questions", "v2_mscoco_val2014_annotations")


def records(folder: Path) -> list[Record]:
    return vqa_pairs(folder, _FILES, "val2014/COCO_val2014_{:012d}.jpg")


TASK = Task(
    title="Questions of VQAv2",
    folder="vqav2",
    layout=f"{_FILES[0]}.json, {_FILES[1]}.json, val2014/*.jpg",
    records=records,
    reads=("image",),
    metrics=(VQA,),
    published={"VQA accuracy": {"2": 66.7, "5": 66.7}},
    note="validation set: answers of the test set are with its owners' server",
)
