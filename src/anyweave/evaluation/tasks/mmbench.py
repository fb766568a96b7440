"""MMBench, development set: questions with up to four choices, asked in every rotation.

A row of the published table is a question; where the table holds the rotations itself (their index
is the question's plus a multiple of a million), they are taken as they are.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from anyweave.data.place import ReadOptions
from anyweave.data.tables import open_rows
from anyweave.evaluation.metrics.answers import CIRCULAR, letter
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.evaluation.tasks.questions import choices, question

_LETTERS = "ABCD"
_MILLION = 1_000_000


def records(folder: Path) -> list[Record]:
    path = needed_file(folder, "MMBench_DEV_EN.tsv", "mmbench_dev_en_20231003.tsv")
    table = open_rows(path, ReadOptions())
    rows = [table.row(number) for number in range(len(table))]
    pictures = {int(row["index"]): row["image"] for row in rows}
    rotated = any(index >= _MILLION for index in pictures)
    return [record for row in rows for record in _rotations(row, pictures, 1 if rotated else None)]


def _rotations(row: Any, pictures: dict[int, str], count: int | None) -> list[Record]:
    index, picture = int(row["index"]), row["image"]
    if len(picture) <= 64:  # the index of the row that holds it
        picture = pictures[int(picture)]
    words = [row[key] for key in _LETTERS if row.get(key)]
    right = _LETTERS.index(row["answer"])
    hint = f"{row['hint']}\n" if row.get("hint") else ""
    made = []
    for turn in range(count or len(words)):
        options = dict(zip(_LETTERS, words[turn:] + words[:turn], strict=False))
        answer = _LETTERS[(right - turn) % len(words)]
        made.append(question(f"{index}-{turn}", "image", base64.b64decode(picture),
                             choices(hint + row["question"], options), [answer],
                             choices=options, group=index % _MILLION))  # fmt: skip
    return made


TASK = Task(
    title="MMBench",
    folder="mmbench",
    layout="MMBench_DEV_EN.tsv",
    records=records,
    reads=("image",),
    metrics=(CIRCULAR,),
    published={"CircularEval": {"2": 58.0}},
    read=letter,
    note="development set, and no language model reads the letter out of an unclear answer, which "
    "is then wrong; --limit may cut a question's rotations",
)
