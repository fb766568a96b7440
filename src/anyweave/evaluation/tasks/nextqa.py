"""NExT-QA, multiple choice, test split: five choices about a clip."""

from __future__ import annotations

from pathlib import Path

from anyweave.data.place import ReadOptions
from anyweave.data.tables import open_rows
from anyweave.evaluation.metrics.answers import CHOICE, letter
from anyweave.evaluation.task import Record, Task, first_file, needed_file
from anyweave.evaluation.tasks.questions import choices, question, whole


def records(folder: Path) -> list[Record]:
    rows = open_rows(needed_file(folder, "test.csv", "nextqa/test.csv"), ReadOptions())
    places = whole(needed_file(folder, "map_vid_vidorID.json", "nextqa/map_vid_vidorID.json"))
    made = []
    for row in (rows.row(number) for number in range(len(rows))):
        options = {key: row[f"a{number}"] for number, key in enumerate("ABCDE")}
        clip = first_file(folder, f"NExTVideo/{places[str(row['video'])]}.mp4",
                          f"NExTVideo/{row['video']}.mp4")  # fmt: skip
        made.append(question(f"{row['video']}-{row['qid']}", "video", clip,
                             choices(f"{row['question']}?", options),
                             ["ABCDE"[int(row["answer"])]], choices=options))  # fmt: skip
    return made


TASK = Task(
    title="Questions of NExT-QA",
    folder="nextqa",
    layout="test.csv, map_vid_vidorID.json, NExTVideo/*/*.mp4",
    records=records,
    reads=("video",),
    metrics=(CHOICE,),
    published={"accuracy": {"3": 50.7}},
    read=letter,
    note="multiple choice, which needs no judge; the paper does not say whether its figure is of "
    "choices or of free answers, so the difference may mean nothing",
)
