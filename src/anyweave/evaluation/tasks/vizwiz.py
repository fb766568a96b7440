"""VizWiz, validation set: questions of blind people about their photographs."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.answers import VQA
from anyweave.evaluation.task import Record, Task, first_file, needed_file
from anyweave.evaluation.tasks.questions import question, whole

_PROMPT = "{} Answer with one word or a short phrase; if it cannot be told, say unanswerable."


def records(folder: Path) -> list[Record]:
    return [
        question(
            row["image"],
            "image",
            first_file(folder, f"val/{row['image']}", row["image"]),
            _PROMPT.format(row["question"]),
            [answer["answer"] for answer in row["answers"]],
        )  # fmt: skip
        for row in whole(needed_file(folder, "val.json", "Annotations/val.json"))
    ]


TASK = Task(
    title="Questions of VizWiz",
    folder="vizwiz",
    layout="val.json, val/*.jpg",
    records=records,
    reads=("image",),
    metrics=(VQA,),
    published={"VQA accuracy": {"2": 48.4, "5": 48.4}},
    note="validation set: answers of the test set are with its owners' server",
)
