"""SEED-Bench: questions with four choices about pictures."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.answers import CHOICE, letter
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.evaluation.tasks.questions import choices, question, whole


def records(folder: Path) -> list[Record]:
    made = []
    for row in whole(needed_file(folder, "SEED-Bench.json"))["questions"]:
        if row.get("data_type", "image") != "image":
            continue
        options = {key: str(row[f"choice_{key.lower()}"]) for key in "ABCD"}
        picture = str(folder / "SEED-Bench-image" / row["data_id"])
        made.append(question(row["question_id"], "image", picture,
                             choices(row["question"], options), [row["answer"]],
                             choices=options))  # fmt: skip
    return made


TASK = Task(
    title="SEED-Bench",
    folder="seed-bench",
    layout="SEED-Bench.json, SEED-Bench-image/*",
    records=records,
    reads=("image",),
    metrics=(CHOICE,),
    published={"accuracy": {"2": 57.5}},
    read=letter,
    note="dimensions 1 to 9, about pictures; questions about clips are left out. The letter is "
    "what the model says; its owners rank the choices by likelihood, which gives other figures",
)
