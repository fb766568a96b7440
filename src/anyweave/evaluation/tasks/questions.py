"""What question tasks share: one medium, one question, right answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from anyweave.evaluation.task import Record, needed_file
from anyweave.files import read_json
from anyweave.messages import MEDIA_TYPES, Message, Modality

SHORT = "{} Answer with one word or a short phrase."


def question(
    key: object,
    modality: Modality,
    medium: str | bytes,
    said: str,
    references: Sequence[str],
    **about: Any,
) -> Record:
    shown = MEDIA_TYPES[modality](medium)
    return Record(key=str(key), ask=(Message("user", [shown, said]),),
                  references=tuple(references), about=about)  # fmt: skip


def choices(said: str, options: dict[str, str]) -> str:
    """The question with its choices, one per line."""
    listed = "\n".join(f"{letter}. {words}" for letter, words in options.items())
    return f"{said}\n{listed}\nAnswer with the letter of the right choice."


def whole(path: Path) -> Any:
    """A whole JSON file; those of question sets are large."""
    return read_json(path, max_bytes=1 << 30)


def clip_questions(folder: Path, file_of: Callable[[Any], str]) -> list[Record]:
    """The layout of MSVD-QA and MSRVTT-QA: one word about the clip with the video's number."""
    return [
        question(
            row["id"],
            "video",
            file_of(row["video_id"]),
            SHORT.format(row["question"]),
            [row["answer"]],
        )  # fmt: skip
        for row in whole(needed_file(folder, "test_qa.json"))
    ]


def vqa_pairs(folder: Path, stems: tuple[str, str], pictures: str) -> list[Record]:
    """The layout of VQA: questions in one file, ten people's answers in another, COCO pictures."""
    asked = whole(needed_file(folder, f"{stems[0]}.json"))["questions"]
    given = whole(needed_file(folder, f"{stems[1]}.json"))["annotations"]
    answers = {row["question_id"]: [a["answer"] for a in row["answers"]] for row in given}
    return [
        question(
            row["question_id"],
            "image",
            str(folder / pictures.format(row["image_id"])),
            SHORT.format(row["question"]),
            answers[row["question_id"]],
        )  # fmt: skip
        for row in asked
        if row["question_id"] in answers
    ]
