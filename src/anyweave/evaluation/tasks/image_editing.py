"""Pictures of COCO changed by instruction: their object, or their background.

The requests and masks of the paper were never published. Each row of ``edits.jsonl`` is
``{"image", "instruction", "caption", "kind"}``: what is said, what the result should show, and
"object" or "background".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anyweave.data.place import ReadOptions
from anyweave.data.tables import open_rows
from anyweave.evaluation.metrics.media import CLIP, FID, of_kind
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.messages import Image, Message

_KINDS = ("object", "background")


def records(folder: Path) -> list[Record]:
    rows = open_rows(needed_file(folder, "edits.jsonl"), ReadOptions())
    return [_record(folder, number, rows.row(number)) for number in range(len(rows))]


def _record(folder: Path, number: int, row: Any) -> Record:
    if row["kind"] not in _KINDS:
        raise ValueError(f"edits.jsonl:{number + 1}: kind {row['kind']!r} is none of {_KINDS}")
    picture = Image(str(folder / row["image"]))
    return Record(key=str(number), ask=(Message("user", row["instruction"]),), source=picture,
                  real=picture, references=(row["caption"],),
                  about={"kind": row["kind"]})  # fmt: skip


TASK = Task(
    title="Changing pictures",
    folder="coco-edits",
    layout="edits.jsonl, and the pictures it names",
    records=records,
    makes="image",
    max_new_tokens=64,
    metrics=tuple(of_kind(metric, kind) for kind in _KINDS for metric in (CLIP, FID)),
    published={
        "CLIP score, object": {"14": 29.32},
        "FID, object": {"14": 6.62},
        "CLIP score, background": {"14": 27.31},
        "FID, background": {"14": 14.27},
    },
    note="the paper's requests and masks are not published: with your own the difference means "
    "nothing. Whole pictures are compared, FID against the pictures before the change",
)
